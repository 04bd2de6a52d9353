"""A house: a broker, a virtual microphone, `affectd run` and a real Home Assistant."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.publish.home_assistant import filters
from tests.bundles import gated
from tests.conftest import Listener, Mosquitto, SoundServer, wait_until
from tests.home_assistant.instance import HomeAssistant
from tests.test_end_to_end import Running

NODE = "kitchen"
PATIENCE_S = 40.0  # Home Assistant says that it is there up to 14 s after the broker has come back


class House:
    """All parts together; each can be stopped and started again."""

    def __init__(self, folder: Path, version: str, form: str) -> None:
        self.form, self._folder = form, folder
        (folder / "broker").mkdir(parents=True)
        keep = f"persistence true\npersistence_location {folder}/broker/\n"
        self.broker = Mosquitto(folder / "broker", keep + "allow_anonymous true")
        self.sound = SoundServer(folder / "pulse")
        self.home = HomeAssistant(version, folder / "config", self.broker.port)
        self._affectd: Running | None = None
        self.listener: Listener | None = None

    def start(self) -> None:
        """Start everything, and wait until Home Assistant knows the node."""
        self.broker.start()
        self.sound.start()
        self.sound.play(np.zeros(480, np.int16))
        self.start_affectd()
        self.home.start()
        self.wait_until_well()

    def start_affectd(self, **settings: object) -> None:
        """Run affectd on the virtual microphone, with an open gate."""
        folder = self._folder / "affectd"
        folder.mkdir(exist_ok=True)
        bundle = gated(self._folder / "bundle", threshold=0.0)
        self._affectd = Running(
            self.sound,
            folder,
            mqtt__port=self.broker.port,
            emotion__bundle=bundle,
            journal__path=folder / "journal.sqlite",
            **{"home_assistant__discovery": self.form, **settings},
        )
        wait_until(self.sound.recordings, "the microphone is open")

    def stop_affectd(self) -> None:
        """End affectd as systemd would."""
        if self._affectd is not None:
            assert self._affectd.stop() == 0, self._affectd.said
            self._affectd = None

    def restart_broker(self, forgets: bool) -> None:
        """Start the broker anew, with or without what it had retained."""
        assert self.broker.process is not None
        self.broker.process.terminate()  # it writes down what it knows
        self.broker.process.wait()
        if forgets:
            for kept in (self._folder / "broker").glob("*.db"):
                kept.unlink()
        self.broker.start()

    def wait_until_well(self) -> None:
        """Wait until Home Assistant has all entities, none of them unavailable."""
        wait_until(self.is_well, "no entity is unavailable", PATIENCE_S)

    def is_well(self) -> bool:
        """Whether Home Assistant has all entities, none of them unavailable."""
        states = self.home.states(NODE).values()
        return len(states) > 0 and all(s["state"] != "unavailable" for s in states)

    def wait_for(self, entity: str, state: str) -> None:
        """Wait until an entity has a state."""
        wait_until(lambda: self.home.state(entity) == state, f"{entity} is {state}", PATIENCE_S)

    def announced(self) -> set[str]:
        """Topics below Home Assistant's prefix on which something of the node is retained."""
        words = ["-p", str(self.broker.port), "--retained-only", "-W", "1", "-F", "%t"]
        for topic in filters(NODE, "homeassistant"):
            words += ["-t", topic]
        done = subprocess.run(
            ["mosquitto_sub", *words], capture_output=True, text=True, check=False
        )
        return set(done.stdout.split())

    def publish(self, topic: str, payload: str, retain: bool = False) -> None:
        """Publish something beside affectd."""
        words = ["-p", str(self.broker.port), "-q", "1", "-t", topic, "-m", payload]
        subprocess.run(["mosquitto_pub", *words, *["-r"] * retain], check=True)

    def health(self) -> dict[str, Any]:
        """What affectd has told of itself last."""
        return dict(json.loads(self.heard("health")[-1]))

    def heard(self, name: str) -> list[bytes]:
        """What a subscriber has received on a topic of the node."""
        if self.listener is None:
            self.listener = Listener(self.broker.port)
            wait_until(lambda: self.heard("health"), "health arrives")
        return self.listener.on(f"affectd/{NODE}/{name}")

    def close(self) -> None:
        """End everything."""
        if self.listener is not None:
            self.listener.close()
        self.home.stop()
        try:
            self.stop_affectd()
        finally:
            self.sound.close()
            self.broker.stop()


@pytest.fixture(
    scope="session",
    params=[("2026.11.0", "device"), ("2024.11.3", "entities")],
    ids="-".join,
)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    version, form = request.param
    house = House(tmp_path_factory.mktemp("house") / "house", version, form)
    try:
        house.start()
        yield house
    finally:
        house.close()


@pytest.fixture(scope="session")
def angry(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    """One angry sentence with a second of silence before and after it."""
    silence = np.zeros(16_000, np.int16)
    return np.concatenate([silence, speech[int(4.3 * 16_000) : int(6.87 * 16_000)], silence])
