"""Where a service's files lie: for the machine, or for one user."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNIT: Final = "affectd.service"
ACCOUNT: Final = "affectd"  # the system user, and its group


@dataclass(frozen=True)
class Place:
    """The files of one service."""

    is_user: bool  # of one user's session, else of the machine
    unit: Path
    packaged_units: tuple[Path, ...]  # where a distribution's package puts a unit of that name
    config: Path
    kept: tuple[Path, ...]  # what people wrote and affectd learnt; a purge removes it
    passing: tuple[Path, ...]  # folders that are gone when the service ends, as a rule

    @property
    def edit(self) -> str:
        """The command that changes the unit by a drop-in."""
        return "systemctl --user edit affectd" if self.is_user else "sudo systemctl edit affectd"

    @property
    def link(self) -> Path:
        """What lets the unit start by itself."""
        target = "default.target" if self.is_user else "multi-user.target"
        return self.unit.with_name(f"{target}.wants") / UNIT

    @property
    def drop_ins(self) -> Path:
        """The folder of what that command writes."""
        return self.unit.with_name(f"{UNIT}.d")


def of_machine() -> Place:
    """The service that starts with the machine, as the user affectd."""
    units = (Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
    return Place(
        is_user=False,
        unit=Path("/etc/systemd/system", UNIT),
        packaged_units=tuple(folder / UNIT for folder in units),
        config=Path("/etc/affectd/affectd.yaml"),
        kept=tuple(map(Path, ("/etc/affectd", "/var/lib/affectd", "/var/log/affectd"))),
        passing=(Path("/run/affectd"),),
    )


def of_user(environment: Mapping[str, str]) -> Place:
    """The service that starts when a user logs in, with that user's microphones."""
    home = os.path.expanduser("~")  # noqa: PTH111
    config = Path(environment.get("XDG_CONFIG_HOME") or Path(home, ".config"))
    runtime = session_folder(environment)
    units = (Path("/lib/systemd/user"), Path("/usr/lib/systemd/user"))
    return Place(
        is_user=True,
        unit=config / "systemd" / "user" / UNIT,
        packaged_units=tuple(folder / UNIT for folder in units),
        config=config / "affectd" / "affectd.yaml",
        kept=(config / "affectd", Path(home, ".local/state/affectd")),  # as the unit says
        passing=() if runtime is None else (runtime / "affectd",),
    )


def session_folder(environment: Mapping[str, str]) -> Path | None:
    """The run-time folder of this user, if there is one.

    XDG_RUNTIME_DIR is unset, or another user's, in `sudo -u anna`, `su anna` and cron's jobs, while
    the services of that user run.
    """
    usual = f"/run/user/{os.geteuid()}"
    for folder in map(Path, filter(None, (environment.get("XDG_RUNTIME_DIR"), usual))):
        with suppress(OSError):
            if folder.stat().st_uid == os.geteuid():
                return folder
    return None
