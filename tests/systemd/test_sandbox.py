"""What the unit's sandbox lets through, tried from inside it on a network of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.systemd.conftest import DEBIAN, PASSWORD, SOURCES, UNIT, install
from tests.systemd.machine import PATIENCE_S, Machine

pytestmark = pytest.mark.slow

INTERNET = "203.0.113.1"  # an address for documentation: RFC 5737
HOME = "192.168.7.1"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/probe.conf"
PROBE = """\
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/opt/affectd/bin/probe {host} 1883
StandardOutput=truncate:/run/probe.json
"""
ALLOWED = {
    "write to its state",
    "write to its logs",
    "write to its runtime folder",
    "write to /dev/shm as others do",
    "open a device of sound",
    "reach the local broker",
    "reach the broker",
}


@pytest.fixture(scope="module")
def secluded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with a broker that has an address at home and one on the internet."""
    machine = Machine(tmp_path_factory.mktemp("secluded"), DEBIAN, "own", SOURCES)
    try:
        machine.start()
        install(machine)
        machine.copy(Path(__file__).with_name("probe.py"), "/opt/affectd/probe.py")
        program = (machine.root / "opt/affectd/bin/affectd").read_text()
        machine.write(
            "/opt/affectd/bin/probe",
            program.replace("-m affectd.daemon", "/opt/affectd/probe.py"),
            0o755,
        )
        for address in (INTERNET, HOME):
            machine.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        machine.write("/run/broker.conf", "listener 1883 0.0.0.0\nallow_anonymous true\n")
        machine.write(PASSWORD, "secret\n", 0o600)
        machine.run("systemd-run", "--unit=broker", "mosquitto", "-c", "/run/broker.conf")
        wait_until(lambda: ":1883" in machine.run("ss", "-ltn"), "the broker answers", PATIENCE_S)
        machine.run("mkdir", "/dev/snd")
        for name, numbers in {"ours": (1, 3), "other": (10, 229)}.items():
            machine.run("mknod", f"/dev/snd/{name}", "c", *numbers)
            machine.run("chgrp", "audio", f"/dev/snd/{name}")
            machine.run("chmod", "0660", f"/dev/snd/{name}")
        yield machine
    finally:
        machine.stop()


def probe(machine: Machine, host: str, keys: str = "") -> dict[str, Any]:
    """What came of each attempt, with the unit's sandbox and perhaps other keys."""
    machine.write(DROP_IN, PROBE.format(host=host) + keys)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", UNIT)
    found: dict[str, Any] = json.loads((machine.root / "run/probe.json").read_text())
    return found


def test_the_service_can_do_what_it_needs_and_nothing_else(secluded: Machine) -> None:
    found = probe(secluded, HOME)
    print(json.dumps(found, indent=2))
    assert {name for name, came in found.items() if came == "done"} == ALLOWED


def test_a_broker_on_the_internet_is_out_of_reach(secluded: Machine) -> None:
    assert probe(secluded, INTERNET)["reach the broker"] == "no answer"


def test_a_drop_in_lets_it_reach_a_broker_on_the_internet(secluded: Machine) -> None:
    allow = f"IPAddressAllow={INTERNET}\n"
    assert probe(secluded, INTERNET, allow)["reach the broker"] == "done"
