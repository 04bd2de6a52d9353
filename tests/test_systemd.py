import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNIT = (ROOT / "systemd" / "affectd.service").read_text()
INSTALLED = "/opt/affectd/bin/affectd"


def verify(unit: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask systemd, with this environment's affectd in the place of the installed one."""
    path = folder / "affectd.service"
    path.write_text(unit.replace(INSTALLED, str(Path(sys.executable).with_name("affectd"))))
    command = ["systemd-analyze", "verify", "--recursive-errors=yes", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_unit_is_valid(tmp_path: Path) -> None:
    done = verify(UNIT, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("good", "bad"), [("Restart=on-failure", "Restrat=on-failure")])
def test_a_mistake_in_the_unit_would_be_found(good: str, bad: str, tmp_path: Path) -> None:
    assert verify(UNIT.replace(good, bad), tmp_path).returncode != 0


def test_the_unit_runs_the_command_with_the_configuration_in_etc() -> None:
    assert f"ExecStart={INSTALLED} run --config /etc/affectd/affectd.yaml\n" in UNIT


def test_the_unit_gives_the_service_folders_to_write_to() -> None:
    assert {"LogsDirectory=affectd", "StateDirectory=affectd"} <= set(UNIT.splitlines())
