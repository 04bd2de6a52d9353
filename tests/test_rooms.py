"""Several microphones in one process: each is a node of its own, and they share the networks."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bundles import gated
from tests.conftest import Listener, Mosquitto, SoundServer, wait_until
from tests.test_end_to_end import Running

# Two names of one microphone, and one of a microphone that is not there.
NAMES = """
pcm.kitchen { type pulse device mic }
pcm.study { type pulse device mic }
pcm.hall { type pulse device hall }
"""
ROOMS = """
audio: {device: "kitchen, ALSA"}
rooms:
  - {node: study, device: "study, ALSA"}
  - {node: hall, device: "hall, ALSA"}
"""


@pytest.fixture
def running(sound_server: SoundServer, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Running]:
    home = Path(sound_server.environment["HOME"])
    with (home / ".asoundrc").open("a") as names:
        names.write(NAMES)
    (home / "affectd").mkdir()
    (home / "affectd" / "affectd.yaml").write_text(ROOMS)
    sound_server.environment["XDG_CONFIG_HOME"] = str(home)
    sound_server.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    settings = {
        "mqtt__port": mosquitto.port,
        "emotion__bundle": gated(tmp_path / "bundle", threshold=0.0),
    }
    sound_server.play(np.zeros(480, np.int16))
    service = Running(sound_server, tmp_path, **settings)
    yield service
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait()


def health(listener: Listener, node: str) -> dict[str, Any]:
    told = listener.on(f"affectd/{node}/health")
    newest: dict[str, Any] = json.loads(told[-1]) if told else {}
    return newest


def wait_for_state(listener: Listener, node: str, state: str) -> None:
    is_so = lambda: health(listener, node).get("listening") == state  # noqa: E731
    wait_until(is_so, f"{node} is {state}")


def wait_for_readings(listener: Listener, node: str, count: int) -> list[dict[str, Any]]:
    topic = f"affectd/{node}/utterance"
    wait_until(lambda: len(listener.on(topic)) >= count, f"{node} has {count} reading(s)")
    return [json.loads(payload) for payload in listener.on(topic)]


def sentence(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    return speech[int(4.3 * 16_000) : int(6.87 * 16_000)]


def test_each_room_has_topics_voice_and_pause_of_its_own(
    running: Running,
    sound_server: SoundServer,
    listener: Listener,
    speech: NDArray[np.int16],
    tmp_path: Path,
) -> None:
    for node in ("kitchen", "study"):
        wait_for_state(listener, node, "listening")
    sound_server.play(sentence(speech))
    (first,) = wait_for_readings(listener, "kitchen", 1)
    (second,) = wait_for_readings(listener, "study", 1)
    assert first["node"] == "kitchen"
    assert second["node"] == "study"
    assert first["id"] != second["id"]
    listener.client.publish("affectd/study/listening/set", b"OFF", 1)
    wait_for_state(listener, "study", "paused")
    sound_server.play(sentence(speech))
    wait_for_readings(listener, "kitchen", 2)
    assert len(listener.on("affectd/study/utterance")) == 1
    assert health(listener, "kitchen")["listening"] == "listening"
    assert running.stop() == 0
    voices = {path.name for path in (tmp_path / "state" / "affectd").glob("voice-*.json")}
    assert voices == {"voice-kitchen.json", "voice-study.json", "voice-hall.json"}
    assert (tmp_path / "state" / "affectd" / "paused-study").exists()
    nodes = [json.loads(line)["node"] for line in running.log.read_text().splitlines()]
    assert {"kitchen", "study"} <= set(nodes)
    for node in ("kitchen", "study", "hall"):
        assert listener.on(f"affectd/{node}/status")[-1] == b"offline"


def test_a_microphone_that_is_looked_for_does_not_deafen_the_other_rooms(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    for node in ("kitchen", "study"):
        wait_for_state(listener, node, "listening")
    wait_for_state(listener, "hall", "lost")
    sound_server.play(sentence(speech))
    for node in ("kitchen", "study"):
        wait_for_readings(listener, node, 1)
    sound_server.add("hall")
    wait_for_state(listener, "hall", "listening")
    sound_server.play(sentence(speech))
    wait_for_readings(listener, "hall", 1)
    for node in ("kitchen", "study"):
        wait_for_readings(listener, node, 2)
        assert health(listener, node)["gaps"] <= 1, "others were interrupted again and again"
    assert running.stop() == 0
    assert "Traceback" not in running.said


def test_a_pause_by_signal_is_of_all_rooms(
    running: Running, sound_server: SoundServer, listener: Listener
) -> None:
    for node in ("kitchen", "study"):
        wait_for_state(listener, node, "listening")
    running.process.send_signal(signal.SIGUSR1)
    for node in ("kitchen", "study", "hall"):
        wait_for_state(listener, node, "paused")
    assert sound_server.recordings() == ""
    running.process.send_signal(signal.SIGUSR2)
    for node in ("kitchen", "study"):
        wait_for_state(listener, node, "listening")
