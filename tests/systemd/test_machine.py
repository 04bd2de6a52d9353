"""The machine itself: what it is, and that nothing of it is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until
from tests.systemd.machine import PATIENCE_S, SCRIPT, Machine

pytestmark = pytest.mark.slow

BOOT = """
import sys, time
from pathlib import Path
from tests.systemd.machine import Machine
machine = Machine(Path(sys.argv[1]))
machine.start()
print(machine.pid, machine.group, flush=True)
time.sleep(600)
"""


def test_the_machine_has_a_systemd_and_a_network_of_its_own(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "new", network="own")
    try:
        machine.start()
        assert machine.run("cat", "/proc/1/comm") == "systemd\n"
        assert machine.run("ls", "/sys/class/net").split() == ["lo"]
    finally:
        machine.stop()


def test_what_the_machine_writes_does_not_reach_the_host(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "new")
    try:
        machine.start()
        machine.write("/etc/only-inside", "text")
        assert machine.run("cat", "/etc/only-inside") == "text"
        assert (machine.written / "etc/only-inside").exists()
    finally:
        machine.stop()
    assert not Path("/etc/only-inside").exists()


@pytest.mark.parametrize("victim", ["test", "machine"])
def test_nothing_is_left_of_a_machine_whose_test_was_killed(victim: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BOOT, str(tmp_path / "new")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        pid, group = test.stdout.readline().split()
        if victim == "machine":
            subprocess.run(["kill", "-KILL", pid], check=True)
        test.kill()
    gone = (Path(f"/proc/{pid}"), Path(group))
    wait_until(lambda: not any(map(Path.exists, gone)), "it has gone", PATIENCE_S)
    assert list((tmp_path / "new" / "machine").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_nothing_is_left_of_a_machine_that_cannot_boot(tmp_path: Path) -> None:
    for name in ("empty", "folder"):
        (tmp_path / name).mkdir()
    command = [str(SCRIPT), str(tmp_path / "empty"), str(tmp_path / "folder"), "shared"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as machine:
        _, said = machine.communicate(timeout=PATIENCE_S)
    assert b"No such file or directory" in said
    assert list(Path("/sys/fs/cgroup").rglob(f"affectd-machine-{machine.pid}")) == []
