"""A microphone that goes away comes back: `affectd run` with a real sound server and broker."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bundles import gated
from tests.conftest import SOUND_SERVERS, Listener, Mosquitto, SoundServer, wait_until
from tests.test_end_to_end import Running

RETURNS_S = 5.0  # after the device is back, at the latest

with_each_sound_server = pytest.mark.parametrize("sound_server", SOUND_SERVERS, indirect=True)


@pytest.fixture
def running(
    sound_server: SoundServer, mosquitto: Mosquitto, listener: Listener, tmp_path: Path
) -> Iterator[Running]:
    sound_server.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    settings = {
        "mqtt__port": mosquitto.port,
        "emotion__bundle": gated(tmp_path / "bundle", threshold=0.0),
    }
    service = Running(sound_server, tmp_path, **settings)
    wait_until(sound_server.recordings, "the microphone is open")
    sound_server.play(np.zeros(480, np.int16))
    wait_for_state(listener, "listening")
    yield service
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait()


def health(listener: Listener) -> dict[str, Any]:
    """The newest health of the node; empty before the first."""
    told = listener.on("affectd/kitchen/health")
    newest: dict[str, Any] = json.loads(told[-1]) if told else {}
    return newest


def wait_for_state(listener: Listener, state: str, timeout_s: float = 20.0) -> dict[str, Any]:
    wait_until(lambda: health(listener).get("listening") == state, f"it is {state}", timeout_s)
    return health(listener)


def speak(sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]) -> None:
    """Say something, and wait until it is read."""
    before = len(listener.on("affectd/kitchen/utterance"))
    sound_server.play(speech[int(4.3 * 16_000) : int(6.87 * 16_000)])
    wait_until(
        lambda: len(listener.on("affectd/kitchen/utterance")) > before, "the reading arrives"
    )


def test_a_microphone_that_is_unplugged_is_heard_again_when_it_is_back(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    sound_server.unplug()
    assert wait_for_state(listener, "lost")["reason"]
    sound_server.plug()
    told = wait_for_state(listener, "listening", RETURNS_S)
    assert told["gaps"] >= 1
    assert told["lost_s"] > 0
    speak(sound_server, listener, speech)
    assert running.stop() == 0
    assert "Traceback" not in running.said


@with_each_sound_server
def test_a_sound_server_that_is_killed_is_heard_again_when_it_is_back(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    sound_server.kill()
    wait_for_state(listener, "lost")
    sound_server.start()
    assert wait_for_state(listener, "listening", RETURNS_S)["lost_s"] > 0
    speak(sound_server, listener, speech)
    assert running.stop() == 0


def test_a_sound_server_and_a_microphone_that_come_after_the_start_are_heard(
    sound_server: SoundServer, mosquitto: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    sound_server.kill()
    service = Running(sound_server, tmp_path, mqtt__port=mosquitto.port)
    assert "no microphone was found" in wait_for_state(listener, "lost")["reason"]
    sound_server.serve()
    wait_until(lambda: "no microphone" not in health(listener)["reason"], "the server is found")
    assert health(listener)["listening"] == "lost"
    sound_server.plug()
    sound_server.play(np.zeros(480, np.int16))
    told = wait_for_state(listener, "listening", RETURNS_S)
    assert told["lost_s"] > 0
    assert service.stop() == 0


def test_a_microphone_that_delivers_nothing_is_opened_again_and_heard_when_it_does(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    sound_server.silence.set()
    assert "delivered nothing for 2 s" in wait_for_state(listener, "lost")["reason"]
    sound_server.silence.clear()
    assert wait_for_state(listener, "listening", RETURNS_S)["lost_s"] > 1
    speak(sound_server, listener, speech)
    assert running.stop() == 0


def test_a_muted_microphone_that_leaves_an_offset_is_silent_until_it_is_heard(
    running: Running, sound_server: SoundServer, listener: Listener
) -> None:
    sound_server.play(np.full(12 * 16_000, 500, np.int16))
    assert "nothing but silence" in wait_for_state(listener, "silent")["reason"]
    wait_for_state(listener, "listening", 2 + RETURNS_S)
    assert running.stop() == 0


def test_a_microphone_of_another_rate_than_was_asked_for_is_lost_until_it_keeps_to_it(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    sound_server.pace = 0.5
    assert "Hz where 16000 Hz were asked for" in wait_for_state(listener, "lost")["reason"]
    sound_server.pace = 1.0
    wait_for_state(listener, "listening", RETURNS_S)
    speak(sound_server, listener, speech)
    assert running.stop() == 0


def test_another_microphone_takes_over_with_a_gap_that_is_told(
    running: Running, sound_server: SoundServer, listener: Listener
) -> None:
    sound_server.plug("other")
    sound_server.unplug()
    wait_until(lambda: health(listener)["gaps"] >= 1, "the gap is told")
    assert running.stop() == 0


@with_each_sound_server
def test_a_frozen_sound_server_ends_the_service_within_half_a_minute(
    running: Running, sound_server: SoundServer, listener: Listener
) -> None:
    sound_server.freeze()
    assert running.process.wait(30) == 1
    told = wait_for_state(listener, "failed")
    assert "cannot be used any more" in told["reason"]
    assert "the sound system has not returned from" in running.said
    assert "Traceback" not in running.said


@pytest.mark.parametrize("sound_server", ["pipewire"], indirect=True)
def test_pipewire_moves_the_stream_of_an_unplugged_microphone_which_is_silent_until_it_is_back(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    """To the monitor of a sink, with no gap: so what is lost is not known, only that none hears."""
    sound_server.unplug()
    assert "see whether it is muted" in wait_for_state(listener, "silent")["reason"]
    sound_server.plug()
    wait_for_state(listener, "listening", RETURNS_S)
    speak(sound_server, listener, speech)
    assert running.stop() == 0


def test_a_sound_server_that_is_frozen_before_the_start_ends_the_service(
    sound_server: SoundServer, tmp_path: Path
) -> None:
    sound_server.freeze()
    service = Running(sound_server, tmp_path)
    assert service.process.wait(30) == 1
    assert "the sound system has not returned from looking for microphones" in service.said


@with_each_sound_server
def test_no_recording_stream_exists_while_paused(
    running: Running, sound_server: SoundServer, listener: Listener, speech: NDArray[np.int16]
) -> None:
    running.process.send_signal(signal.SIGUSR1)
    wait_for_state(listener, "paused")
    assert sound_server.recordings() == ""
    assert listener.on("affectd/kitchen/listening")[-1] == b"OFF"
    running.process.send_signal(signal.SIGUSR2)
    told = wait_for_state(listener, "listening", RETURNS_S)
    assert told["lost_s"] == 0
    speak(sound_server, listener, speech)
    assert running.stop() == 0


def test_a_pause_by_mqtt_survives_a_kill(
    running: Running,
    sound_server: SoundServer,
    listener: Listener,
    mosquitto: Mosquitto,
    tmp_path: Path,
) -> None:
    topic = "affectd/kitchen/listening/set"
    listener.client.publish(topic, b"perhaps", 1)
    listener.client.publish(topic, b"OFF", 1)
    wait_for_state(listener, "paused")
    assert "is not obeyed: it is neither ON nor OFF" in running.said
    running.process.kill()
    running.process.wait()
    again = Running(sound_server, tmp_path, mqtt__port=mosquitto.port)
    wait_until(lambda: "paused, as it was before" in again.said, "it is paused again")
    assert sound_server.recordings() == ""

    def is_heard() -> bool:
        listener.client.publish(topic, b"ON", 1)  # until it has subscribed
        return bool(health(listener).get("listening") == "listening")

    wait_until(is_heard, "it listens again")
    assert again.stop() == 0


def test_a_retained_command_is_not_obeyed(
    running: Running,
    listener: Listener,
    mosquitto: Mosquitto,
    sound_server: SoundServer,
    tmp_path: Path,
) -> None:
    assert running.stop() == 0
    listener.client.publish("affectd/kitchen/listening/set", b"OFF", 1, retain=True)
    again = Running(sound_server, tmp_path, mqtt__port=mosquitto.port)
    wait_until(lambda: "is not obeyed: it is retained" in again.said, "it is refused")
    assert health(listener)["listening"] != "paused"
    assert again.stop() == 0
