"""The plan of `affectd uninstall`."""

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
    steps = _service(place, systemctl, purge) if place.unit.exists() else []
    for path in (*place.kept, place.drop_ins, _aside(place)):
        if path.exists():
            if purge:
                text = f"remove {path} ({_size(path)})"
                steps.append(Step(text, partial(_remove, path)))
            else:
                steps.append(Step(f"keep {path}"))
    return steps if place.is_user else [*steps, *_account(purge)]


def _service(place: Place, systemctl: Systemctl, purge: bool) -> list[Step]:
    """What ends the service; a unit that was edited by hand is kept under another name."""
    words = ["disable", *(["--now"] if systemctl.is_running else []), "affectd"]
    steps = [Step(f"run {systemctl.line(*words)}", partial(systemctl.tell, *words))]
    if purge or unit.is_ours(place.unit.read_text(encoding="utf-8", errors="replace")):
        steps.append(Step(f"remove {place.unit}", place.unit.unlink))
    else:
        aside = _aside(place)
        text = f"rename {place.unit}, which was edited, to {aside.name}"
        steps.append(Step(text, partial(place.unit.replace, aside)))
    if systemctl.is_running:
        words = ["daemon-reload"]
        steps.append(Step(f"run {systemctl.line(*words)}", partial(systemctl.tell, *words)))
    return steps


def _aside(place: Place) -> Path:
    """Where a unit that was edited goes; systemd takes no notice of it there."""
    return place.unit.with_name(f"{place.unit.name}.edited")


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
