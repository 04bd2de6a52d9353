"""A clip played into a virtual sound card arrives at an independent subscriber as a reading."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.daemon import schemas
from affectd.daemon.emotion.labels import EMOTIONS
from tests.bundles import gated
from tests.conftest import (
    AFFECTD,
    Listener,
    Mosquitto,
    SoundServer,
    lines_of,
    run_affectd,
    wait_until,
)


class Running:
    """`affectd run` as its own process, hearing the virtual sound card."""

    def __init__(self, sound_server: SoundServer, folder: Path, **settings: object) -> None:
        self.log = folder / "readings.jsonl"
        self._said = folder / "said"
        keys = {"log__path": self.log, "node": "kitchen", **settings}
        environment = {f"AFFECTD_{key.upper()}": str(value) for key, value in keys.items()}
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [*AFFECTD, "run"],
                env=sound_server.environment | environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def running(
    sound_server: SoundServer,
    mosquitto: Mosquitto,
    listener: Listener,
    tmp_path: Path,
    bundle: Path,
    expected: dict[str, Any],
) -> Iterator[Running]:
    settings = {"mqtt__port": mosquitto.port, "emotion__bundle": bundle}
    service = Running(sound_server, tmp_path, **settings)
    wait_until(lambda: b"online" in listener.on("affectd/kitchen/status"), "the service is online")
    wait_until(sound_server.recordings, "the microphone is open")
    yield service
    if service.process.poll() is None:
        service.stop()


@pytest.fixture
def clip(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    """One angry sentence with a second of silence before and after it."""
    silence = np.zeros(16_000, np.int16)
    return np.concatenate([silence, speech[int(4.3 * 16_000) : int(6.87 * 16_000)], silence])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The default networks behind a gate that is open: what is heard here is speech."""
    return gated(tmp_path / "bundle", threshold=0.0)


@pytest.fixture
def expected(clip: NDArray[np.int16], bundle: Path, tmp_path: Path) -> dict[str, Any]:
    """What `affectd analyze` says of the clip."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, clip, 16_000)
    environment = os.environ | {"AFFECTD_EMOTION__BUNDLE": str(bundle)}
    (found,) = lines_of(run_affectd("analyze", "--json", path, environment=environment).stdout)
    return found


def test_a_voice_in_the_room_becomes_an_emotion_on_mqtt(
    running: Running,
    sound_server: SoundServer,
    mosquitto: Mosquitto,
    clip: NDArray[np.int16],
    tmp_path: Path,
) -> None:
    topic = "affectd/kitchen/utterance"
    subscriber = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", "-d", "-p", str(mosquitto.port), "-t", topic, "-C", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert subscriber.stdout is not None
    for line in subscriber.stdout:  # -d tells when the subscription stands
        if "SUBACK" in line:
            break
    sound_server.play(clip)
    out, _ = subscriber.communicate(timeout=40)
    (payload,) = [line for line in out.splitlines() if line.startswith("{")]
    reading = json.loads(payload)
    jsonschema.validate(reading, schemas.schema("utterance"))
    assert reading["emotion"] in {*EMOTIONS, "unknown"}
    assert reading["node"] == "kitchen"
    assert 0 <= reading["latency_ms"] < 1000
    wait_until(lambda: payload[1:] in running.log.read_text(), "the log has the same reading")
    assert running.stop() == 0
    assert "Traceback" not in running.said


def test_the_daemon_reads_the_microphone_as_analyze_reads_the_file(
    running: Running,
    listener: Listener,
    sound_server: SoundServer,
    clip: NDArray[np.int16],
    expected: dict[str, Any],
) -> None:
    sound_server.play(clip)
    wait_until(lambda: listener.on("affectd/kitchen/utterance"), "the reading arrives")
    reading = json.loads(listener.on("affectd/kitchen/utterance")[0])
    for field in ("probabilities", "valence", "arousal", "confidence", "duration_s"):
        assert reading[field] == pytest.approx(expected[field], abs=1e-5), field
    assert reading["emotion"] == expected["emotion"]


def test_speech_goes_on_and_off_and_the_mood_follows(
    running: Running, listener: Listener, sound_server: SoundServer, clip: NDArray[np.int16]
) -> None:
    sound_server.play(clip)
    wait_until(lambda: len(listener.on("affectd/kitchen/mood")) >= 2, "the mood follows")
    wait_until(lambda: len(listener.on("affectd/kitchen/speech")) >= 3, "the speech ends")
    assert listener.on("affectd/kitchen/speech") == [b"OFF", b"ON", b"OFF"]
    idle, mood = (json.loads(payload) for payload in listener.on("affectd/kitchen/mood"))
    assert (idle["mood"], mood["utterances"]) == ("idle", 1)
    jsonschema.validate(mood, schemas.schema("mood"))


def test_sigterm_says_offline_and_closes_the_microphone(
    running: Running, listener: Listener, sound_server: SoundServer
) -> None:
    assert running.stop() == 0
    wait_until(lambda: b"offline" in listener.on("affectd/kitchen/status"), "offline arrives")
    assert sound_server.recordings() == ""


def test_a_device_is_listed_and_heard_by_its_name(sound_server: SoundServer) -> None:
    found = lines_of(run_affectd("devices", "--json", environment=sound_server.environment).stdout)
    assert any(device["is_default"] for device in found)
