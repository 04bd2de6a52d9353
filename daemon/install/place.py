"""Where a service's files lie: for the machine, or for one user."""

import os
from collections.abc import Mapping
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
    kept: tuple[
        Path, ...
    ]  # folders with what people wrote and affectd learnt; a purge removes them

    @property
    def edit(self) -> str:
        """The command that changes the unit by a drop-in."""
        return "systemctl --user edit affectd" if self.is_user else "sudo systemctl edit affectd"

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
        kept=tuple(
            map(Path, ("/etc/affectd", "/var/lib/affectd", "/var/log/affectd", "/run/affectd"))
        ),
    )


def of_user(environment: Mapping[str, str]) -> Place:
    """The service that starts when a user logs in, with that user's microphones."""
    home = os.path.expanduser("~")  # noqa: PTH111
    config = Path(environment.get("XDG_CONFIG_HOME") or Path(home, ".config"))
    kept = [config / "affectd"]
    kept.append(Path(environment.get("XDG_STATE_HOME") or Path(home, ".local/state")) / "affectd")
    if environment.get("XDG_RUNTIME_DIR"):
        kept.append(Path(environment["XDG_RUNTIME_DIR"], "affectd"))
    units = (Path("/lib/systemd/user"), Path("/usr/lib/systemd/user"))
    return Place(
        is_user=True,
        unit=config / "systemd" / "user" / UNIT,
        packaged_units=tuple(folder / UNIT for folder in units),
        config=config / "affectd" / "affectd.yaml",
        kept=tuple(kept),
    )
