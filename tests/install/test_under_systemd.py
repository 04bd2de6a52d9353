"""Installation and removal where a real systemd runs, of the service and of the Debian package."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.install.conftest import add_affectd
from tests.systemd.machine import PATIENCE_S, Machine

pytestmark = pytest.mark.slow

AFFECTD = "/opt/affectd/bin/affectd"
UNIT = "affectd.service"
CONFIG = "/etc/affectd/affectd.yaml"
MANAGER = """\
[Service]
Type=notify
User=anna
Delegate=yes
RuntimeDirectory=user/1999
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=/run/user/1999
ExecStart=/lib/systemd/systemd --user --unit=basic.target
"""


@pytest.fixture
def machine(tmp_path: Path, package: Path, higher: Path) -> Iterator[Machine]:
    """This machine, booted, with affectd in /opt/affectd, without a microphone and a broker."""
    python, packages = Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))
    binds = {python: "/opt/python", packages: "/opt/packages"}
    binds |= {package.parent: "/opt/built", higher.parent: "/opt/higher"}
    machine = Machine(tmp_path, network="own", binds=binds)
    try:
        machine.start()
        machine.run("rm", "-f", "/usr/sbin/policy-rc.d")  # in a container it forbids services
        yield machine
    finally:
        machine.stop()


def runs(machine: Machine) -> bool:
    return machine.show(UNIT, "ActiveState") == "active"


def process(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def test_an_installed_service_runs_until_it_is_uninstalled(machine: Machine) -> None:
    add_affectd(machine, "/opt/affectd")
    machine.run(AFFECTD, "install")
    assert runs(machine)
    assert machine.run("ps", "-o", "user=", "-p", process(machine)) == "affectd\n"
    before = process(machine)
    told = machine.run(AFFECTD, "install")
    assert told.endswith("let it run on\nnothing was to do: the service is installed\n")
    add_affectd(machine, "/opt/newer")
    assert "run systemctl restart affectd" in machine.run("/opt/newer/bin/affectd", "install")
    assert runs(machine)
    assert process(machine) != before
    machine.run(AFFECTD, "uninstall")
    assert not runs(machine)
    assert machine.root.joinpath("var/lib/affectd/journal.sqlite").exists()
    machine.run(AFFECTD, "uninstall", "--purge", "--yes")
    assert not machine.root.joinpath("var/lib/affectd").exists()


def test_a_service_that_does_not_start_is_told(machine: Machine) -> None:
    add_affectd(machine, "/opt/affectd")
    machine.write(CONFIG, "node: no name\n")
    done = machine.ask(AFFECTD, "install")
    assert done.returncode == 1
    assert "`journalctl -u affectd` tells more" in done.stderr


def test_a_service_may_be_installed_and_not_started(machine: Machine) -> None:
    add_affectd(machine, "/opt/affectd")
    machine.run(AFFECTD, "install", "--no-start")
    assert not runs(machine)
    assert machine.show(UNIT, "UnitFileState") == "enabled"


def test_a_users_service_runs_from_the_home(machine: Machine) -> None:
    folder = "/home/anna/.local/share/pipx/venvs/affectd"
    machine.run("useradd", "--create-home", "--uid=1999", "anna")
    add_affectd(machine, folder)
    machine.run("chown", "-R", "anna:", "/home/anna")
    machine.write("/etc/systemd/system/person.service", MANAGER)
    machine.run("systemctl", "daemon-reload")
    # logind, where people log in, has the mount namespace that those of their managers need.
    machine.run("systemd-run", "--wait", "--property", "PrivateTmp=yes", "true")
    machine.run("systemctl", "start", "person")
    session = ["runuser", "--user", "anna", "--", "env", "HOME=/home/anna"]
    session.append("XDG_RUNTIME_DIR=/run/user/1999")
    told = machine.run(*session, f"{folder}/bin/affectd", "install", "--user")
    assert "run systemctl --user start affectd" in told
    assert machine.run(*session, "systemctl", "--user", "is-active", "affectd") == "active\n"
    as_by_sudo = [word for word in session if not word.startswith("XDG_RUNTIME_DIR")]
    told = machine.run(
        *as_by_sudo,
        *("env", "--unset=XDG_RUNTIME_DIR", f"{folder}/bin/affectd"),
        *("uninstall", "--user", "--purge", "--yes"),
    )
    assert "run systemctl --user disable --now affectd" in told
    assert machine.ask(*session, "systemctl", "--user", "is-active", "affectd").returncode != 0


def test_the_debian_packages_service_runs_and_is_restarted_by_an_upgrade(
    machine: Machine, package: Path, higher: Path
) -> None:
    machine.run("dpkg", "-i", f"/opt/built/{package.name}", timeout_s=300)
    wait_until(lambda: runs(machine), "the service runs", PATIENCE_S)
    before = process(machine)
    assert machine.run("ps", "-o", "user=", "-p", before) == "affectd\n"
    machine.write(CONFIG, "node: kitchen\n")
    machine.run("dpkg", "-i", f"/opt/higher/{higher.name}", timeout_s=300)
    wait_until(lambda: runs(machine), "the service runs again", PATIENCE_S)
    assert process(machine) not in {before, "0"}
    assert machine.root.joinpath("var/lib/affectd/journal.sqlite").exists()
    assert machine.root.joinpath(CONFIG[1:]).read_text() == "node: kitchen\n"
    machine.run("dpkg", "--remove", "affectd", timeout_s=300)
    assert not runs(machine)
    assert machine.root.joinpath("var/lib/affectd/journal.sqlite").exists()
    machine.run("dpkg", "--purge", "affectd")
    assert not machine.root.joinpath("var/lib/affectd").exists()
