"""affectd as systemd runs it: a machine with the unit, a virtual sound card and a broker."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import paho.mqtt.client
import pytest
import yaml
from numpy.typing import NDArray

from tests.bundles import gated
from tests.conftest import ROOT, Listener, Mosquitto, SoundServer, wait_until
from tests.systemd.machine import PATIENCE_S, Machine

# A Debian with systemd, sound libraries and mosquitto: this one, unless another is named.
DEBIAN: Final = Path(os.environ.get("MACHINE_ROOT", "/"))
UNIT: Final = "affectd.service"
CONFIGURATION: Final = "/etc/affectd/affectd.yaml"
PASSWORD: Final = "/etc/affectd/mqtt_password"
LOGIN: Final = {"username": "affectd", "password": "not-for-the-log"}
SOUND: Final = "/run/sound"  # where the machine sees the sound server's folder
ASOUND: Final = f'pcm.!default {{ type pulse server "unix:{SOUND}/native" }}\n'
# This tree and this environment's packages, in the place of an installation.
PROGRAM: Final = f"""\
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=/opt/affectd/tree/src:/opt/affectd/packages
exec /opt/python/bin/python3.{sys.version_info.minor} -m affectd.daemon "$@"
"""
# Where the program finds them.
SOURCES: Final = {
    ROOT: "/opt/affectd/tree",
    Path(paho.mqtt.client.__file__).parents[2]: "/opt/affectd/packages",
    Path(sys.base_prefix): "/opt/python",
}


@dataclass
class Household:
    """A machine with affectd installed, not started, and what is around it."""

    machine: Machine
    sound: SoundServer
    broker: Mosquitto

    def configure(self, text: str = "", **settings: Any) -> None:
        """Write the configuration: for this broker and an open gate, or a text as it is."""
        mqtt = {"host": "127.0.0.1", "port": self.broker.port, "username": LOGIN["username"]}
        emotion = {"bundle": "/opt/affectd/bundle"}
        whole = {"node": "kitchen", "mqtt": mqtt, "emotion": emotion} | settings
        self.machine.write(CONFIGURATION, text or yaml.safe_dump(whole))

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machine.ask("systemctl", *words)

    def show(self, key: str) -> str:
        """A property of the service, as `systemctl show` tells it."""
        return self.machine.show(UNIT, key)

    def status(self) -> str:
        return self.systemctl("status", "--no-pager", UNIT).stdout

    def said(self) -> list[dict[str, Any]]:
        """What the journal holds of the service itself since the test began, a line each."""
        lines = self.machine.journal(UNIT, "_UID=" + self.user).splitlines()
        return [json.loads(line) for line in lines]

    def used(self) -> dict[str, int]:
        """Memory in bytes and threads of the main process, by the names that /proc has for them."""
        files = [f"/proc/{self.show('MainPID')}/{name}" for name in ("smaps_rollup", "status")]
        found = {}
        for line in self.machine.run("cat", *files).splitlines():
            key, *words = line.replace(":", "").split()
            if words and words[0].isdecimal():
                found[key] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
        return found

    @property
    def user(self) -> str:
        return self.machine.run("id", "--user", "affectd").strip()

    def start(self) -> None:
        """Start the service, and wait until it hears and is online."""
        done = self.systemctl("start", UNIT)
        assert done.returncode == 0, done.stderr + self.status()
        self.wait_for(lambda: "listening" in self.show("StatusText"), "it is listening")

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, what, PATIENCE_S)

    def reset(self) -> None:
        """Stop the service and forget what it and the last test left."""
        self.systemctl("stop", UNIT)
        self.systemctl("reset-failed", UNIT)
        for left in ("/etc/systemd/system/affectd.service.d", "/var/lib/affectd"):
            self.machine.run("rm", "-rf", left)
        self.systemctl("daemon-reload")
        self.machine.write(PASSWORD, LOGIN["password"] + "\n", 0o600)
        self.configure()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """A household whose machine has booted, for all tests."""
    folder = tmp_path_factory.mktemp("machine")
    sound = SoundServer(folder / "sound")
    (folder / "sound").chmod(0o755)
    broker = Mosquitto(folder, f"allow_anonymous false\npassword_file {folder}/passwords")
    passwords = ["mosquitto_passwd", "-b", "-c", f"{folder}/passwords", *LOGIN.values()]
    bundle = gated(folder / "bundle", threshold=0.0)
    seen = {bundle: "/opt/affectd/bundle", folder / "sound": SOUND}
    host = Machine(folder, DEBIAN, binds=SOURCES | seen)
    try:
        subprocess.run(passwords, check=True)
        broker.start()
        sound.start()
        sound.play(np.zeros(480, np.int16))
        host.start()
        install(host)
        yield Household(host, sound, broker)
    finally:
        host.stop()
        sound.close()
        broker.stop()


def install(machine: Machine) -> None:
    """Install the unit and its user as the documentation says, and this tree as the program."""
    machine.write("/opt/affectd/bin/affectd", PROGRAM, 0o755)
    machine.write("/etc/asound.conf", ASOUND)
    machine.copy(ROOT / "systemd" / "affectd.sysusers", "/usr/lib/sysusers.d/affectd.conf")
    machine.run("systemd-sysusers", "affectd.conf")
    machine.copy(ROOT / "systemd" / UNIT, f"/etc/systemd/system/{UNIT}")
    machine.run("systemctl", "daemon-reload")


@pytest.fixture
def household(machine: Household) -> Iterator[Household]:
    """The household, configured, with the service stopped."""
    machine.reset()
    yield machine
    machine.systemctl("stop", UNIT)


@pytest.fixture
def listener(household: Household) -> Iterator[Listener]:
    subscriber = Listener(household.broker.port, **LOGIN)
    yield subscriber
    subscriber.close()


@pytest.fixture
def clip(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    """One angry sentence with a second of silence before and after it."""
    silence = np.zeros(16_000, np.int16)
    return np.concatenate([silence, speech[int(4.3 * 16_000) : int(6.87 * 16_000)], silence])
