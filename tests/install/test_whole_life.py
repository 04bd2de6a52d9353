"""The package's whole life on a fresh Debian: installed, heard, examined, reported and removed."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from tests.conftest import ROOT, SoundServer, free_port, lines_of, wait_until
from tests.systemd.machine import PATIENCE_S, Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEBIAN = ROOT / "build" / "package-test" / "bookworm-systemd"
PACKAGES = "systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,libasound2-plugins"
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends")
UNIT = "affectd.service"
LOG = "/run/affectd/readings.jsonl"
PLAYED_S = 90.0  # for the recording to be heard to its end


@dataclass
class House:
    """A fresh Debian with a broker and a microphone, and without affectd."""

    machine: Machine
    sound: SoundServer
    port: int

    def retained(self, name: str) -> Any:
        """What mosquitto_sub prints of a retained topic, as the JSON that it is."""
        command = ("mosquitto_sub", "-p", self.port, "-t", f"affectd/kitchen/{name}", "-C", 1)
        return json.loads(self.machine.run(*command, "-W", 30))

    def wait_for_mood(self) -> str:
        """The mood, when there is one."""
        wait_until(lambda: self.retained("mood")["mood"] != "idle", "there is a mood", PLAYED_S)
        return str(self.retained("mood")["mood"])


@pytest.fixture
def house(package: Path, tmp_path: Path) -> Iterator[House]:
    subprocess.run([ROOT / "tests" / "install" / "debian.sh", DEBIAN, PACKAGES], check=True)
    sound, port = SoundServer(tmp_path / "sound"), free_port()
    (tmp_path / "sound").chmod(0o755)
    binds = {package.parent: "/mnt/packages", tmp_path / "sound": "/run/sound"}
    machine = Machine(tmp_path, DEBIAN, binds=binds)
    try:
        sound.start()
        sound.play(np.zeros(480, np.int16))
        machine.start()
        asound = 'pcm.!default { type pulse server "unix:/run/sound/native" }\n'
        machine.write("/etc/asound.conf", asound)
        listen = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
        machine.write("/etc/mosquitto/conf.d/house.conf", listen)
        machine.run("systemctl", "start", "mosquitto")
        yield House(machine, sound, port)
    finally:
        machine.stop()
        sound.close()


def test_from_installation_to_removal(
    house: House, package: Path, speech: NDArray[np.int16]
) -> None:
    machine = house.machine
    machine.run(*APT, "update", timeout_s=300)
    configuration = {"node": "kitchen", "mqtt": {"host": "127.0.0.1", "port": house.port}}
    machine.write("/etc/affectd/affectd.yaml", yaml.safe_dump(configuration))
    keep = ("-o", "Dpkg::Options::=--force-confold")
    machine.run(*APT, *keep, "install", f"/mnt/packages/{package.name}", timeout_s=600)
    wait_until(
        lambda: "listening" in machine.show(UNIT, "StatusText"), "it is listening", PATIENCE_S
    )

    house.sound.play(speech)
    mood = house.wait_for_mood()
    log = lines_of(machine.run("cat", LOG))
    assert mood in {line["mood"] for line in log if line["event"] == "mood"}
    assert [line for line in log if line["event"] == "utterance"]

    house.sound.play(speech)
    found = lines_of(machine.run("affectd", "doctor", "--listen", 8, "--json"))
    wrong = [line for line in found if line["state"] == "failed"]
    assert wrong == []
    well = {line["check"] for line in found if line["state"] == "ok"}
    assert {"configuration", "microphone", "bundle", "broker", "journal", "unit"} <= well

    machine.run("affectd", "report", "--to", "/tmp/today.html", timeout_s=300)
    page = machine.root.joinpath("tmp/today.html").read_text()
    assert page.count("<svg") >= 4
    assert "kitchen" in page
    figures = lines_of(machine.run("affectd", "report", "--json"))
    assert figures[0]["node"] == "kitchen"
    assert int(str(figures[0]["readings"])) >= len([x for x in log if x["event"] == "utterance"])

    machine.run(*APT, "purge", "affectd", timeout_s=300)
    assert machine.show(UNIT, "ActiveState") == "inactive"
    left = ("find", "/etc", "/usr", "/var", "/run", "-xdev", "-name", "*affectd*")
    assert machine.run(*left, "-not", "-path", "*/cgroup/*") == ""
