import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNIT = (ROOT / "systemd" / "affectd.service").read_text()
USER_UNIT = (ROOT / "systemd" / "user" / "affectd.service").read_text()
SYSUSERS = ROOT / "systemd" / "affectd.sysusers"
INSTALLED = "/opt/affectd/bin/affectd"
EXPOSED = 1.5  # how much of the system the service may reach at most, of 10


def analyze(unit: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd, with this environment's affectd in the place of the installed one."""
    path = folder / "affectd.service"
    path.write_text(unit.replace(INSTALLED, str(Path(sys.executable).with_name("affectd"))))
    command = ["systemd-analyze", *words, str(path)]
    session = os.environ | {"XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run(command, env=session, capture_output=True, text=True, check=False)


def verify(unit: str, folder: Path) -> subprocess.CompletedProcess[str]:
    manager = "--user" if "WantedBy=default.target" in unit else "--system"
    return analyze(unit, folder, manager, "verify", "--recursive-errors=yes")


def exposure(unit: str, folder: Path) -> tuple[int, float]:
    """Whether systemd finds the sandbox too weak, and what it says of it, from 0 to 10."""
    limit = f"--threshold={EXPOSED * 10:.0f}"
    done = analyze(unit, folder, "security", "--offline=true", "--no-pager", limit)
    (found,) = re.findall(r"exposure level for affectd\.service: ([\d.]+)", done.stdout)
    return done.returncode, float(found)


@pytest.mark.parametrize("unit", [UNIT, USER_UNIT], ids=["system", "user"])
def test_the_unit_is_valid(unit: str, tmp_path: Path) -> None:
    done = verify(unit, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", [UNIT, USER_UNIT], ids=["system", "user"])
def test_a_mistake_in_the_unit_would_be_found(unit: str, tmp_path: Path) -> None:
    assert verify(unit.replace("Restart=", "Restrat="), tmp_path).returncode != 0


def test_the_unit_runs_the_command_with_the_configuration_in_etc() -> None:
    assert f"ExecStart={INSTALLED} run --config /etc/affectd/affectd.yaml\n" in UNIT


def test_the_unit_gives_the_service_folders_to_write_to() -> None:
    folders = {f"{kind}Directory=affectd" for kind in ("State", "Runtime", "Logs")}
    assert folders <= set(UNIT.splitlines())


def test_the_service_may_use_sound_cards_that_are_plugged_in_later() -> None:
    # Source: systemd.resource-control(5), DeviceAllow=: what the kernel does not know is not added.
    lines = {"DeviceAllow=char-alsa rw", "Wants=modprobe@snd.service", "After=modprobe@snd.service"}
    assert lines <= set(UNIT.splitlines())


def test_the_service_can_reach_little_of_the_system(tmp_path: Path) -> None:
    failed, found = exposure(UNIT, tmp_path)
    print(f"exposure {found} of 10")
    assert not failed
    assert found <= EXPOSED


def test_a_weaker_sandbox_would_be_found(tmp_path: Path) -> None:
    weaker = UNIT.replace("CapabilityBoundingSet=\n", "").replace("IPAddressDeny=any\n", "")
    failed, found = exposure(weaker, tmp_path)
    assert failed
    assert found > EXPOSED


def test_the_documentation_tells_the_exposure(tmp_path: Path) -> None:
    _, found = exposure(UNIT, tmp_path)
    told = f"affectd.service: {found} OK"
    assert told in (ROOT / "docs" / "systemd.md").read_text()


def test_the_units_user_is_made_in_the_group_of_sound(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("")
    command = ["systemd-sysusers", f"--root={tmp_path}", str(SYSUSERS)]
    subprocess.run(command, check=True, capture_output=True)
    assert re.search("^affectd:.*:/var/lib/affectd:", (tmp_path / "etc/passwd").read_text(), re.M)
    assert re.search("^audio:.*:affectd$", (tmp_path / "etc/group").read_text(), re.M)
