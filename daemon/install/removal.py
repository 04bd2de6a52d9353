"""The plan of `affectd uninstall`."""

import os
import pwd
import shutil
from functools import partial
from pathlib import Path

from affectd.daemon.install import unit
from affectd.daemon.install.installation import refuse_packaged
from affectd.daemon.install.place import ACCOUNT, Place
from affectd.daemon.install.step import Step, call
from affectd.daemon.install.systemctl import Systemctl


def plan(place: Place, systemctl: Systemctl, purge: bool) -> list[Step]:
    """Steps to a machine without the service.

    purge: removes what people wrote and affectd learnt, too. Raises InstallError if the service is
    a package's.
    """
    refuse_packaged(place)
    steps = _service(place, systemctl, purge)
    for path in (*place.kept, place.drop_ins, _aside(place)):
        if os.path.lexists(path):
            steps.append(_removal(path) if purge else Step(f"keep {path}"))
    if purge:
        steps += [_removal(path) for path in place.passing if os.path.lexists(path)]
    return steps if place.is_user else [*steps, *_account(purge)]


def _service(place: Place, systemctl: Systemctl, purge: bool) -> list[Step]:
    """What ends the service; a unit that was edited by hand is kept under another name."""
    if not place.unit.exists():
        return _rest(place, systemctl)
    words = ["disable", *(["--now"] if systemctl.is_running else []), "affectd"]
    steps = [systemctl.step(*words)]
    if purge or unit.is_ours(place.unit.read_text(encoding="utf-8", errors="replace")):
        steps.append(Step(f"remove {place.unit}", place.unit.unlink))
    else:
        aside = _aside(place)
        text = f"rename {place.unit}, which was edited, to {aside.name}"
        steps.append(Step(text, partial(place.unit.replace, aside)))
    if systemctl.is_running:
        steps.append(systemctl.step("daemon-reload"))
    return steps


def _rest(place: Place, systemctl: Systemctl) -> list[Step]:
    """What ends a service whose unit is gone already."""
    steps = [systemctl.step("stop", "affectd")] if systemctl.is_active() else []
    if place.link.is_symlink():
        steps.append(Step(f"remove {place.link}", place.link.unlink))
    if steps and systemctl.is_running:
        steps.append(systemctl.step("daemon-reload"))
    return steps


def _aside(place: Place) -> Path:
    """Where a unit that was edited goes; systemd takes no notice of it there."""
    return place.unit.with_name(f"{place.unit.name}.edited")


def _removal(path: Path) -> Step:
    if path.is_symlink():
        return Step(f"remove {path}, and keep what it leads to", path.unlink)
    return Step(f"remove {path} ({_size(path)})", partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # a service that stops may have taken its folder along


def _account(purge: bool) -> list[Step]:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return []
    if purge:
        return [Step(f"remove the user {ACCOUNT}", partial(call, "userdel", ACCOUNT))]
    return [Step(f"keep the user {ACCOUNT}")]


def _size(path: Path) -> str:
    files = [one for one in (path, *path.rglob("*")) if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    return f"{len(files)} file(s), {size / 1e6:.1f} MB"
