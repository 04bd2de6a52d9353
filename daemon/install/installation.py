"""The plan of `affectd install`."""

import grp
import os
import pwd
from functools import partial
from pathlib import Path

from affectd.daemon.errors import InstallError
from affectd.daemon.install import unit
from affectd.daemon.install.place import ACCOUNT, UNIT, Place
from affectd.daemon.install.step import Step, call, write
from affectd.daemon.install.systemctl import Systemctl
from affectd.daemon.install.unit import Standing

TEMPLATE = unit.FOLDER.parent / "config" / "affectd.yaml"
AUDIO = "audio"  # the group that may use sound cards


def plan(place: Place, program: Path, systemctl: Systemctl, start: bool) -> list[Step]:
    """Steps to a service that runs a program, and starts by itself.

    start: whether it also starts now. Raises InstallError if the unit there is not ours to replace.
    """
    refuse_packaged(place)
    steps = [] if place.is_user else [_account()]
    steps.append(_configuration(place.config))
    wanted = unit.render(place, program)
    standing = unit.standing(place.unit, wanted)
    if standing is Standing.EDITED:
        raise InstallError(
            f"{place.unit} is not as `affectd install` wrote it; put what was changed there into a "
            f"drop-in with `{place.edit}`, remove the file, and install again"
        )
    is_new = standing is not Standing.SAME
    if is_new:
        text = f"write {place.unit}, which starts {program}"
        steps.append(Step(text, partial(write, place.unit, wanted)))
    else:
        steps.append(Step(f"keep {place.unit}, which starts {program}"))
    return steps + _service(systemctl, is_new, start)


def refuse_packaged(place: Place) -> None:
    """Raise InstallError if the service is that of a package of the distribution.

    A person's own unit goes before that; one of the machine shares folders and user with it.
    """
    packaged = next((path for path in place.packaged_units if path.exists()), None)
    own = os.path.lexists(place.unit)
    if packaged is None or (own and place.is_user):
        return
    user = "systemctl --user" if place.is_user else "sudo systemctl"
    before = f"; {place.unit} goes before it until `{user} revert affectd`" if own else ""
    raise InstallError(
        f"the Debian package of affectd brought the service ({packaged}){before}; "
        f"`{user} enable --now affectd` starts it, `{user} disable --now affectd` stops it, "
        "and `sudo apt remove affectd` removes it"
    )


def _account() -> Step:
    try:
        pwd.getpwnam(ACCOUNT)
        if ACCOUNT in grp.getgrnam(AUDIO).gr_mem:
            return Step(f"keep the user {ACCOUNT}")
    except KeyError:
        pass
    text = f"create the user {ACCOUNT}, in the group {AUDIO}"
    return Step(text, partial(call, "systemd-sysusers", str(unit.SYSUSERS)))


def _configuration(path: Path) -> Step:
    if path.exists():
        return Step(f"keep {path}, as it is")
    text = TEMPLATE.read_text(encoding="utf-8")
    return Step(f"write {path}, with every key's default", partial(write, path, text))


def _service(systemctl: Systemctl, is_new: bool, start: bool) -> list[Step]:
    """What systemd is told; a unit that is new takes effect at once where the service runs."""
    steps = [systemctl.step("daemon-reload")] if is_new and systemctl.is_running else []
    if systemctl.is_enabled():
        steps.append(Step(f"keep {UNIT} enabled"))
    else:
        steps.append(systemctl.step("enable", "affectd"))
    if not systemctl.is_running:
        return [
            *steps,
            Step("leave the start to the next boot or login, as systemd does not run here"),
        ]
    if systemctl.is_active():
        return [*steps, systemctl.step("restart", "affectd") if is_new else Step("let it run on")]
    return [*steps, systemctl.step("start", "affectd")] if start else steps
