"""SIGHUP lets a running service take another configuration, or keep its own."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bundles import gated
from tests.conftest import AFFECTD, DEMO, Listener, Mosquitto, SoundServer, wait_until

LONG_S = 60.0
ANSWERS = ("the configuration is read again: ", "the configuration is not taken: ")


class Service:
    """`affectd run` with a configuration file that is ours to change."""

    def __init__(self, sound_server: SoundServer, folder: Path, port: int) -> None:
        self.file, self._said = folder / "affectd.yaml", folder / "said"
        self.process: subprocess.Popen[bytes]
        self.environment = sound_server.environment | {"XDG_STATE_HOME": str(folder / "state")}
        self.keys: dict[str, Any] = {
            "node": "kitchen",
            "mqtt.port": port,
            "emotion.bundle": str(gated(folder / "bundle", threshold=0.0)),
            "log.path": str(folder / "readings.jsonl"),
        }
        self.write()

    def start(self, **environment: str) -> None:
        with self._said.open("a") as said:
            self.process = subprocess.Popen(
                [*AFFECTD, "run", "--config", self.file],
                env=self.environment | environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def write(self, **changes: Any) -> None:
        """Change keys of the configuration; a dot in a key is two underscores here."""
        self.keys |= {key.replace("__", "."): value for key, value in changes.items()}
        content: dict[str, Any] = {}
        for key, value in self.keys.items():
            *section, name = key.split(".")
            (content.setdefault(section[0], {}) if section else content)[name] = value
        self.file.write_text(json.dumps(content))

    def reload(self, **changes: Any) -> str:
        """Change the configuration and hang up; return the line that answers."""
        before = len(self.answers)
        self.write(**changes)
        self.send(signal.SIGHUP)
        wait_until(lambda: len(self.answers) > before, "the reload is answered", LONG_S)
        return self.answers[-1]

    def send(self, *signals: signal.Signals) -> None:
        for one in signals:
            self.process.send_signal(one)

    @property
    def said(self) -> str:
        return self._said.read_text()

    @property
    def answers(self) -> list[str]:
        """What was said to reloads, each line whole."""
        lines = self.said.splitlines(keepends=True)
        return [
            line.strip()
            for line in lines
            if line.endswith("\n") and any(answer in line for answer in ANSWERS)
        ]

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.process.wait(LONG_S)


@pytest.fixture
def stopped(sound_server: SoundServer, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Service]:
    sound_server.play(np.zeros(480, np.int16))
    service = Service(sound_server, tmp_path, mosquitto.port)
    yield service
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait()


@pytest.fixture
def service(stopped: Service, listener: Listener) -> Service:
    """One that listens."""
    stopped.start()
    wait_for_state(listener, "listening")
    return stopped


def health(listener: Listener, node: str = "kitchen") -> dict[str, Any]:
    told = listener.on(f"affectd/{node}/health")
    newest: dict[str, Any] = json.loads(told[-1]) if told else {}
    return newest


def wait_for_state(listener: Listener, wanted: str, node: str = "kitchen") -> None:
    is_so = lambda: health(listener, node).get("listening") == wanted  # noqa: E731
    wait_until(is_so, f"{node} is {wanted}", LONG_S)


def wait_for_another(listener: Listener, count: int, node: str = "kitchen") -> None:
    """Until a node has been wired so many times, and listens."""

    def is_so() -> bool:
        begun, states = 0, [""]
        for message in tuple(listener.messages):
            if message.topic == f"affectd/{node}/status":
                begun += message.payload == b"online"
                states = [""]
            elif message.topic == f"affectd/{node}/health":
                states.append(json.loads(message.payload)["listening"])
        return begun == count and states[-1] == "listening"

    wait_until(is_so, f"{node} listens, time {count}", LONG_S)


def sentence(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    return speech[int(4.3 * 16_000) : int(6.87 * 16_000)]


def wait_for_readings(listener: Listener, node: str, count: int) -> list[dict[str, Any]]:
    topic = f"affectd/{node}/utterance"
    wait_until(lambda: len(listener.on(topic)) >= count, f"{node} has {count} reading(s)", LONG_S)
    return [json.loads(payload) for payload in listener.on(topic)]


def test_a_new_name_takes_effect(
    service: Service, listener: Listener, sound_server: SoundServer, speech: NDArray[np.int16]
) -> None:
    assert service.reload(node="hall").endswith("read again: node changed")
    wait_for_another(listener, 1, "hall")
    assert listener.on("affectd/kitchen/status") == [b"online", b"offline"]
    sound_server.play(sentence(speech))
    (reading,) = wait_for_readings(listener, "hall", 1)
    assert reading["node"] == "hall"
    assert service.stop() == 0


def test_the_voice_goes_on_over_a_reload(
    service: Service, listener: Listener, sound_server: SoundServer, speech: NDArray[np.int16]
) -> None:
    for count, margin in enumerate((0.2, 0.3, 0.4), 1):
        sound_server.play(sentence(speech))
        *_, reading = wait_for_readings(listener, "kitchen", count)
        assert reading["voice_utterances"] == count - 1
        assert service.reload(mood__margin=margin).endswith("mood.margin changed")
        wait_for_another(listener, count + 1)
    assert service.stop() == 0


def test_another_broker_takes_effect(service: Service, listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Mosquitto(tmp_path / "other")
    other.start()
    subscriber = Listener(other.port)
    try:
        assert service.reload(mqtt__port=other.port).endswith("read again: mqtt.port changed")
        wait_for_another(subscriber, 1)
        assert listener.on("affectd/kitchen/status")[-1] == b"offline"
        assert service.stop() == 0
    finally:
        subscriber.close()
        other.stop()


def test_a_setting_of_the_mood_takes_effect(
    service: Service, listener: Listener, sound_server: SoundServer, speech: NDArray[np.int16]
) -> None:
    assert service.reload(mood__idle_after_s=1.0).endswith("mood.idle_after_s changed")
    wait_for_another(listener, 2)
    sound_server.play(sentence(speech))
    wait_for_readings(listener, "kitchen", 1)

    def is_idle() -> list[bool]:
        moods = listener.on("affectd/kitchen/mood")
        return [json.loads(payload)["mood"] == "idle" for payload in moods]

    wait_until(lambda: len(is_idle()) == 4, "the mood has come and gone", LONG_S)
    assert is_idle() == [True, True, False, True]


def test_the_environment_goes_before_the_file_over_a_reload(
    stopped: Service, listener: Listener
) -> None:
    stopped.start(AFFECTD_NODE="attic")
    wait_for_state(listener, "listening", "attic")
    assert stopped.reload(node="hall").endswith("nothing changed")
    assert stopped.reload(mood__margin=0.2).endswith("mood.margin changed")
    wait_for_another(listener, 2, "attic")
    assert stopped.stop() == 0


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"moood": 1}, "moood is not a known key; did you mean mood?"),
        ({"mqtt.prt": 1}, "mqtt.prt is not a known key; did you mean port?"),
        ({"node": "a b"}, "node is 'a b'; it must be text that matches"),
        ({"emotion.bundle": "/nonexistent"}, "/nonexistent"),
        ({"mqtt.username": "a", "mqtt.password_file": "/nonexistent"}, "which cannot be read"),
        ({"mqtt.tls": True, "mqtt.ca_file": "/nonexistent"}, "mqtt.ca_file is /nonexistent"),
        ({"log.path": "/proc/readings.jsonl"}, "/proc/readings.jsonl cannot be written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_configuration_keeps_the_former_one_and_says_why(
    keys: dict[str, Any],
    why: str,
    service: Service,
    listener: Listener,
    sound_server: SoundServer,
) -> None:
    stream, right = sound_server.recordings(), dict(service.keys)
    service.keys |= keys
    answer = service.reload()
    assert answer.startswith("affectd: the configuration is not taken: ")
    assert why in answer
    assert answer.endswith("; the former one goes on")
    service.keys = right
    assert service.reload().endswith("nothing changed")
    assert sound_server.recordings() == stream
    assert listener.on("affectd/kitchen/status") == [b"online"]
    assert service.stop() == 0


@pytest.mark.parametrize("content", [None, "{", "node: 2026-13-01", "[" * 10_000, "&a [*a]", "\0"])
def test_what_is_no_configuration_at_all_ends_nothing(
    content: str | None, service: Service, sound_server: SoundServer
) -> None:
    stream = sound_server.recordings()
    service.file.unlink() if content is None else service.file.write_text(content)
    service.send(signal.SIGHUP)
    wait_until(lambda: len(service.answers) == 1, "the reload is answered", LONG_S)
    assert "the configuration is not taken: " in service.answers[0]
    assert sound_server.recordings() == stream
    assert service.stop() == 0


def test_what_fails_only_when_it_is_wired_brings_the_former_one_back(
    service: Service, listener: Listener
) -> None:
    answer = service.reload(node="hall", journal__path="/proc/journal.sqlite")
    assert answer.endswith("read again: node, journal.path changed")
    wait_for_another(listener, 2)
    (why,) = [
        line for line in service.said.splitlines() if "the new configuration cannot run" in line
    ]
    assert "/proc/journal.sqlite" in why
    assert listener.on("affectd/hall/status") == []
    assert service.reload(node="kitchen").endswith("journal.path changed")
    wait_for_another(listener, 3)
    del service.keys["journal.path"]
    assert service.reload().endswith("nothing changed")
    assert service.stop() == 0


def test_a_level_takes_effect_without_a_break(
    service: Service, listener: Listener, sound_server: SoundServer
) -> None:
    stream = sound_server.recordings()
    service.write(log__level="error")
    service.send(signal.SIGHUP)

    # It is quiet: of 20 attempts the pauses are not told, once it is in force.
    def is_quiet() -> bool:
        before = service.said.count("paused")
        for payload, state in ((b"OFF", "paused"), (b"ON", "listening")):
            listener.client.publish("affectd/kitchen/listening/set", payload, 1)
            wait_for_state(listener, state)
        return service.said.count("paused") == before

    wait_until(is_quiet, "pauses are not told any more", LONG_S)
    assert service.reload(log__level="info").endswith("read again: log.level changed")
    assert not is_quiet()
    assert listener.on("affectd/kitchen/status") == [b"online"]
    assert stream
    assert service.stop() == 0


def test_a_password_that_was_changed_in_its_file_is_taken_and_never_told(
    service: Service, listener: Listener, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("abracadabra\n")
    answer = service.reload(mqtt__username="anna", mqtt__password_file=str(secret))
    assert answer.endswith("read again: mqtt.username, mqtt.password_file changed")
    wait_for_another(listener, 2)
    secret.write_text("hocuspocus\n")
    assert service.reload().endswith("read again: what mqtt.password_file holds changed")
    wait_for_another(listener, 3)
    assert service.stop() == 0
    assert "abracadabra" not in service.said
    assert "hocuspocus" not in service.said


def test_a_pause_holds_over_reloads_and_is_taken_during_one(
    service: Service, listener: Listener, sound_server: SoundServer
) -> None:
    def wait_for_pause(count: int) -> None:
        status = "affectd/kitchen/status"
        wait_until(lambda: listener.on(status).count(b"online") == count, "it is back", LONG_S)
        wait_for_state(listener, "paused")
        wait_until(lambda: not sound_server.recordings(), "the microphone is closed", LONG_S)

    service.write(mood__margin=0.2)
    service.send(signal.SIGHUP, signal.SIGUSR1)
    wait_for_pause(2)
    for count, margin in enumerate((0.3, 0.4), 3):
        service.reload(mood__margin=margin)
        wait_for_pause(count)
    service.send(signal.SIGUSR2)
    wait_for_state(listener, "listening")
    assert service.stop() == 0


def test_commands_hold_over_a_reload(service: Service, listener: Listener) -> None:
    listener.client.publish("affectd/kitchen/command/quiet", b'{"for_s": 3600}', 1)
    wait_until(lambda: health(listener)["quiet_until"], "it is quiet", LONG_S)
    service.reload(mood__margin=0.2)
    wait_for_another(listener, 2)
    assert health(listener)["quiet_until"]
    assert service.stop() == 0


def test_rooms_come_and_go(service: Service, listener: Listener) -> None:
    for name in ("kitchen", "study"):
        with (Path(service.environment["HOME"]) / ".asoundrc").open("a") as names:
            names.write(f"pcm.{name} {{ type pulse device mic }}\n")
    study = {"node": "study", "device": "study, ALSA"}
    answer = service.reload(rooms=[study])
    assert answer.endswith("read again: rooms changed")
    wait_until(lambda: health(listener, "study"), "there is a study", LONG_S)
    assert service.reload(rooms=[]).endswith("read again: rooms changed")
    wait_until(lambda: listener.on("affectd/study/status")[-1] == b"offline", "it is gone", LONG_S)
    wait_for_another(listener, 3)
    assert service.stop() == 0


def handles(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """How many threads and file descriptors it has."""
    folder = Path(f"/proc/{process.pid}")
    return len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))


def test_a_burst_of_reloads_ends_with_the_last_configuration_and_leaves_nothing_behind(
    service: Service, listener: Listener, sound_server: SoundServer
) -> None:
    service.reload(mood__margin=0.2)
    wait_for_another(listener, 2)
    before = handles(service.process)
    for number in range(200):
        service.write(mood__margin=round(0.3 + number / 1000, 3))
        service.send(signal.SIGHUP, signal.SIGHUP)
    service.write(node="hall")
    service.send(signal.SIGHUP)
    wait_for_another(listener, 1, "hall")
    wait_until(lambda: handles(service.process) <= before, "as much is open as before", LONG_S)
    assert service.reload().endswith("nothing changed")
    assert len(sound_server.recordings().splitlines()) == 1
    assert service.stop() == 0


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_stop_during_a_reload_ends_well(
    after_s: float, service: Service, listener: Listener
) -> None:
    service.write(mood__margin=0.2)
    service.send(signal.SIGHUP)
    threading.Event().wait(after_s)
    assert service.stop() == 0
    wait_until(lambda: listener.on("affectd/kitchen/status")[-1] == b"offline", "it is offline")
    assert "Traceback" not in service.said


def test_systemd_is_told_of_reloads_and_the_watchdog_is_fed(
    stopped: Service, listener: Listener, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LONG_S)
        stopped.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="30000000")

        def told(until: str) -> list[str]:
            lines: list[str] = []
            while until not in lines:
                lines += systemd.recv(4096).decode().splitlines()
            return lines

        told("READY=1")
        before_us = time.monotonic() * 1e6
        stopped.write(mood__margin=0.2)
        stopped.send(signal.SIGHUP)
        lines = told("READY=1")
        begin = lines.index("RELOADING=1")
        key, _, at_us = lines[begin + 1].partition("=")
        assert key == "MONOTONIC_USEC"
        assert before_us <= int(at_us) <= time.monotonic() * 1e6
        assert "WATCHDOG=1" in lines[begin:]
        stopped.write(node="a b")
        stopped.send(signal.SIGHUP)
        assert "RELOADING=1" in told("READY=1")
        stopped.send(signal.SIGTERM)
        told("STOPPING=1")
        assert stopped.process.wait(LONG_S) == 0


def test_a_recording_is_played_to_its_end(tmp_path: Path, mosquitto: Mosquitto) -> None:
    environment = os.environ | {
        "XDG_STATE_HOME": str(tmp_path),
        "AFFECTD_MQTT__PORT": str(mosquitto.port),
        "AFFECTD_LOG__PATH": str(tmp_path / "readings.jsonl"),
    }
    with subprocess.Popen(
        [*AFFECTD, "run", "--input", DEMO],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as playing:
        assert playing.stderr is not None
        lines = iter(playing.stderr.readline, "")
        assert any("hearing" in line for line in lines)
        playing.send_signal(signal.SIGHUP)
        assert any("SIGHUP is ignored while a recording is played" in line for line in lines)
        playing.send_signal(signal.SIGTERM)
        assert playing.wait(LONG_S) == 0


def test_a_service_whose_terminal_is_closed_ends(stopped: Service, listener: Listener) -> None:
    terminal, other = pty.openpty()
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    command = [sys.executable, "-c", f"{take}os.execv(sys.executable, sys.argv[1:])"]
    stopped.process = subprocess.Popen(
        [*command, *AFFECTD, "run", "--config", stopped.file],
        env=stopped.environment,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    wait_for_state(listener, "listening")
    os.close(terminal)
    assert stopped.process.wait(LONG_S) == 0
    wait_until(lambda: listener.on("affectd/kitchen/status")[-1] == b"offline", "it is offline")
