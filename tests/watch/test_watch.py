"""The real command, beside real services, brokers and terminals."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon import schemas
from affectd.daemon.publish.feed import SOCKET, Feed
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import Mqtt
from tests.bundles import gated
from tests.conftest import (
    AFFECTD,
    DEMO,
    Listener,
    Mosquitto,
    SoundServer,
    run_affectd,
    wait_until,
)
from tests.publish.samples import health, mood, utterance
from tests.test_end_to_end import Running
from tests.watch.terminal import Terminal

PATIENCE_S = 60.0
SHOWN = b"\x1b[?25h"  # the cursor
LEFT = b"\x1b[?1049l"  # the alternate screen


class Watch:
    """`affectd watch` with its output in a pipe."""

    def __init__(self, environment: dict[str, str], *words: object) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*AFFECTD, "watch", *map(str, words)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def of(self, event: str, node: str = "kitchen") -> list[Any]:
        told = [one for one in self.events if (one["event"], one["node"]) == (event, node)]
        return [one["message"] for one in told]

    def wait_for(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.lines), f"{text} is told", PATIENCE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a machine of its own: its socket is in `affectd` below its folder."""
    names = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    own = os.environ | dict.fromkeys(names, str(tmp_path))
    return {key: value for key, value in own.items() if not key.startswith("AFFECTD_")}


@pytest.fixture
def feed(environment: dict[str, str], tmp_path: Path) -> Iterator[Feed]:
    """What a running service serves, with the newest of one node."""
    one = Feed(tmp_path / "affectd" / SOCKET)
    one.start()
    node = one.of("kitchen")
    node.health(health())
    node.mood(mood())
    node.utterance(utterance())
    yield one
    one.close()


@pytest.fixture
def terminal(feed: Feed, environment: dict[str, str]) -> Iterator[Terminal]:
    one = Terminal([*AFFECTD, "watch"], environment)
    yield one
    one.close()


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    """Filled by a test, and ended after it."""
    started: list[Watch] = []
    yield started
    for watch in started:
        watch.close()


@pytest.fixture
def node(mosquitto: Mosquitto) -> Iterator[MqttPublisher]:
    """A node that publishes over MQTT."""
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(PATIENCE_S)
    publisher.health(health())
    publisher.mood(mood())
    yield publisher
    publisher.stop()


@pytest.fixture
def running(sound_server: SoundServer, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Running]:
    bundle = gated(tmp_path / "bundle", threshold=0.0)
    sound_server.play(np.zeros(480, np.int16))
    settings = {"mqtt__port": mosquitto.port, "emotion__bundle": bundle}
    service = Running(sound_server, tmp_path, **settings)
    yield service
    if service.process.poll() is None:
        service.process.kill()
        service.process.wait()


def test_those_who_watch_get_what_mqtt_gets_and_levels(
    running: Running,
    sound_server: SoundServer,
    listener: Listener,
    watches: list[Watch],
    speech: NDArray[np.int16],
) -> None:
    watch = Watch(sound_server.environment, "--json")
    watches.append(watch)
    wait_until(lambda: watch.of("level"), "a level is told", PATIENCE_S)
    sound_server.play(speech[int(4.3 * 16_000) : int(6.87 * 16_000)])
    topic = "affectd/kitchen/utterance"
    wait_until(lambda: watch.of("utterance") and listener.on(topic), "it is read", PATIENCE_S)
    assert watch.of("utterance") == [json.loads(payload) for payload in listener.on(topic)]
    wait_until(lambda: watch.of("speech")[-1:] == ["OFF"], "speech has ended", PATIENCE_S)
    assert watch.of("speech")[-2:] == ["ON", "OFF"]
    levels = watch.of("level")
    assert max(one["level_dbfs"] for one in levels) > -40
    assert min(one["level_dbfs"] for one in levels) < -80
    assert {one["voiced"] for one in levels} == {True, False}
    for name in ("utterance", "mood", "health", "level"):
        for message in watch.of(name):
            jsonschema.validate(message, schemas.schema(name))
    assert watch.stop() == 0


def test_while_it_is_paused_no_level_is_told(
    running: Running, sound_server: SoundServer, listener: Listener, watches: list[Watch]
) -> None:
    watch = Watch(sound_server.environment, "--json")
    watches.append(watch)
    wait_until(lambda: watch.of("level"), "a level is told", PATIENCE_S)
    listener.client.publish("affectd/kitchen/listening/set", b"OFF", 1)
    paused = lambda: watch.of("health")[-1]["listening"] == "paused"  # noqa: E731
    wait_until(paused, "it is paused", PATIENCE_S)
    until = time.monotonic() + 1.0  # in which ten levels would have come
    wait_until(lambda: time.monotonic() > until, "a second has passed")
    count = len(watch.of("level"))
    listener.client.publish("affectd/kitchen/listening/set", b"ON", 1)
    wait_until(lambda: len(watch.of("level")) > count, "a level is told again", PATIENCE_S)
    told = [(one["event"], one["message"]) for one in watch.events]
    at = next(i for i, (_, message) in enumerate(told) if "paused" in str(message))
    assert told[at + 1][0] == "health"


def test_two_services_run_and_the_first_is_watched(feed: Feed, environment: dict[str, str]) -> None:
    environment["AFFECTD_MQTT__PORT"] = "1"
    done = run_affectd("run", "--input", DEMO, "--fast", environment=environment)
    assert done.returncode == 0
    assert done.stderr.count("another affectd is watched at") == 1
    assert len(done.stdout.splitlines()) >= 8
    assert (Path(environment["XDG_RUNTIME_DIR"]) / "affectd" / SOCKET).exists()


def test_a_service_without_a_place_for_its_socket_goes_on(environment: dict[str, str]) -> None:
    environment |= {"AFFECTD_MQTT__PORT": "1", "AFFECTD_LOG__PATH": "/dev/null"}
    environment["XDG_RUNTIME_DIR"] = "/proc/nowhere"
    done = run_affectd("run", "--input", DEMO, "--fast", environment=environment)
    assert done.returncode == 0
    assert done.stderr.count("/proc/nowhere/affectd/watch.sock cannot be made") == 1
    assert len(done.stdout.splitlines()) >= 8


def test_the_terminal_shows_what_a_node_tells(terminal: Terminal, feed: Feed) -> None:
    shown = ("kitchen: listening", "this machine", "Yeti", "1.2.3", "fearful", "60%", "q ends")
    wait_until(lambda: all(text in terminal.text for text in shown), "all is shown", PATIENCE_S)
    feed.of("kitchen").speech(True)
    wait_until(lambda: "someone is speaking" in terminal.text, "speech is shown", PATIENCE_S)
    feed.of("kitchen").hear(np.full(1600, 3277, np.int16) * np.array([1, -1] * 800, np.int16), True)
    wait_until(lambda: "-20 dBFS" in terminal.text, "the level is shown", PATIENCE_S)
    feed.of("study").health(health())
    wait_until(lambda: "study: listening" in terminal.text, "the other is shown", PATIENCE_S)


def test_the_picture_follows_the_size_of_the_terminal(
    feed: Feed, environment: dict[str, str]
) -> None:
    told = {"LINES": "24", "COLUMNS": "80"}  # as some shells tell programs
    terminal = Terminal([*AFFECTD, "watch"], environment | told)

    def is_whole() -> bool:
        return terminal.text.startswith("affectd watch") and "q ends" in terminal.text

    try:
        wait_until(lambda: is_whole() and "surprised" in terminal.text, "it is shown", PATIENCE_S)
        terminal.resize(8, 40)
        wait_until(
            lambda: is_whole() and "surprised" not in terminal.text, "it is short", PATIENCE_S
        )
        terminal.resize(30, 120)
        wait_until(lambda: is_whole() and "surprised" in terminal.text, "it is full", PATIENCE_S)
    finally:
        terminal.close()


def test_a_terminal_without_unicode_gets_signs_that_it_has(
    feed: Feed, environment: dict[str, str]
) -> None:
    ascii_only = Terminal([*AFFECTD, "watch"], environment | {"PYTHONIOENCODING": "ascii"})
    try:
        shown = ("####", "|sad", "q ends")
        wait_until(lambda: all(text in ascii_only.text for text in shown), "it shows", PATIENCE_S)
        assert ascii_only.text.isascii()
        assert "\\u" not in ascii_only.text
    finally:
        ascii_only.close()


def test_a_terminal_that_can_only_print_gets_lines(feed: Feed, environment: dict[str, str]) -> None:
    command = ["env", "TERM=dumb", *AFFECTD, "watch"]
    dumb = Terminal(command, environment)
    try:
        wait_until(lambda: "kitchen  mood  sad" in dumb.text, "the mood is told", PATIENCE_S)
        assert b"\x1b" not in dumb.raw
    finally:
        dumb.close()


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C", "q"])
def test_the_terminal_is_left_as_it_was(terminal: Terminal, how: str) -> None:
    wait_until(lambda: "kitchen: listening" in terminal.text, "the node is shown", PATIENCE_S)
    wait_until(lambda: not terminal.is_plain, "keys are read one by one", PATIENCE_S)
    if how == "SIGTERM":
        terminal.process.terminate()
    else:
        terminal.type(b"\x03" if how == "Ctrl-C" else b"xq")
    assert terminal.process.wait(PATIENCE_S) == 0
    assert terminal.is_plain
    wait_until(lambda: terminal.raw.endswith(SHOWN + LEFT), "the screen is left", PATIENCE_S)
    assert b"Traceback" not in terminal.raw


def test_a_service_that_comes_back_is_watched_again(
    feed: Feed, environment: dict[str, str], watches: list[Watch], tmp_path: Path
) -> None:
    watch = Watch(environment)
    watches.append(watch)
    watch.wait_for("kitchen  mood  sad")
    feed.close()
    watch.wait_for("not connected: the affectd at")
    again = Feed(tmp_path / "affectd" / SOCKET)
    again.start()
    again.of("kitchen").mood(mood("angry"))
    watch.wait_for("kitchen  mood  angry")
    again.close()
    assert watch.stop(signal.SIGINT) == 0
    assert sum("connected to this machine" in line for line in watch.lines) == 2
    assert not any("\x1b" in line for line in watch.lines)


def test_a_service_that_is_not_there_yet_is_waited_for(
    environment: dict[str, str], watches: list[Watch], tmp_path: Path
) -> None:
    watch = Watch(environment)
    watches.append(watch)
    watch.wait_for("not connected: no affectd runs here")
    late = Feed(tmp_path / "affectd" / SOCKET)
    late.start()
    watch.wait_for("connected to this machine")
    late.close()
    assert watch.stop() == 0


def test_a_service_that_was_started_outside_of_a_session_is_found(
    feed: Feed, environment: dict[str, str], watches: list[Watch], tmp_path: Path
) -> None:
    # It has no XDG_RUNTIME_DIR, and so its socket is below the folder for states.
    watch = Watch(environment | {"XDG_RUNTIME_DIR": str(tmp_path / "session")})
    watches.append(watch)
    watch.wait_for("kitchen  mood  sad")


def test_one_node_of_several_is_watched(
    feed: Feed, environment: dict[str, str], watches: list[Watch]
) -> None:
    watch = Watch(environment, "--json", "--node", "study")
    watches.append(watch)
    wait_until(lambda: feed.is_watched, "it is connected", PATIENCE_S)
    feed.of("kitchen").speech(True)
    feed.of("study").speech(True)
    wait_until(lambda: watch.lines, "something is told", PATIENCE_S)
    assert [one["node"] for one in watch.events] == ["study"]


def test_a_reader_that_has_seen_enough_ends_it(feed: Feed, environment: dict[str, str]) -> None:
    command = [*AFFECTD, "watch", "--json"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["event"] == "health"
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 0  # though nothing more is told
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_reader_that_does_not_read_does_not_keep_it_from_ending(
    feed: Feed, environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [*AFFECTD, "watch", "--json"], env=environment, stdout=subprocess.PIPE
    )
    wait_until(lambda: feed.is_watched, "it is connected", PATIENCE_S)
    node = feed.of("kitchen")

    def is_stuck() -> bool:
        for _ in range(5):
            node.utterance(utterance())
        return not feed.is_watched

    wait_until(is_stuck, "nothing has room any more", PATIENCE_S)
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    process.communicate()


def test_any_broker_is_watched_through_its_restart(
    mosquitto: Mosquitto,
    node: MqttPublisher,
    listener: Listener,
    environment: dict[str, str],
    watches: list[Watch],
) -> None:
    watch = Watch(environment, "--json", "--broker", f"127.0.0.1:{mosquitto.port}")
    watches.append(watch)
    wait_until(lambda: watch.of("mood") and watch.of("health"), "states are told", PATIENCE_S)
    assert watch.of("status") == ["online"]
    node.utterance(utterance("a"))
    wait_until(lambda: watch.of("utterance"), "the reading is told", PATIENCE_S)
    assert watch.of("utterance") == [json.loads(listener.on("affectd/kitchen/utterance")[0])]
    mosquitto.stop()
    wait_until(lambda: not node.wait_until_connected(0), "the broker is gone", PATIENCE_S)
    mosquitto.start()
    wait_until(lambda: len(watch.of("status")) > 1, "it is watched again", PATIENCE_S)
    assert node.wait_until_connected(PATIENCE_S)
    count = len(watch.of("speech"))
    node.speech(True)
    wait_until(lambda: watch.of("speech")[count:] == ["ON"], "speech is told", PATIENCE_S)
    assert watch.stop() == 0
    seen = Counter(message.topic.split("/")[1] for message in listener.messages)
    assert set(seen) == {"kitchen"}  # watching leaves no trace


def test_a_broker_is_watched_as_configured(
    tmp_path: Path, environment: dict[str, str], watches: list[Watch]
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "anna", "secret"], check=True)
    broker = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    (tmp_path / "secret").write_text("secret")
    keys = {"port": broker.port, "root": "house/feelings", "username": "anna", "client_id": "node"}
    config = tmp_path / "watched.yaml"
    config.write_text(json.dumps({"mqtt": keys | {"password_file": str(tmp_path / "secret")}}))
    settings = Mqtt(**keys)  # type: ignore[arg-type]
    node = MqttPublisher(settings, "kitchen", "secret")
    node.start()
    try:
        assert node.wait_until_connected(PATIENCE_S)
        watch = Watch(environment, "--config", config, "--node", "kitchen")
        watches.append(watch)
        watch.wait_for("connected to the MQTT broker localhost")
        node.mood(mood("angry"))
        watch.wait_for("kitchen  mood  angry")
        assert node.wait_until_connected(0)  # though its client id is configured
        refused = Watch(environment, "--broker", f"localhost:{broker.port}")
        watches.append(refused)
        refused.wait_for("check mqtt.username and mqtt.password_file")
        assert refused.stop() == 0
    finally:
        node.stop()
        broker.stop()


def test_without_a_service_here_the_configured_broker_is_watched(
    mosquitto: Mosquitto, node: MqttPublisher, environment: dict[str, str], watches: list[Watch]
) -> None:
    watch = Watch(environment | {"AFFECTD_MQTT__PORT": str(mosquitto.port)})
    watches.append(watch)
    watch.wait_for("kitchen  mood  sad")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--broker", "broker.lan:port"], "broker.lan:port', which is more than a host"),
        (["--broker", "broker.lan:99999"], "--broker broker.lan:99999 is no host and port"),
        (["--broker", "mqtt://broker.lan"], "is more than a host"),
        (["--node", "a/b"], "--node a/b is no name of a node"),
    ],
)
def test_a_wrong_command_line_is_told(
    words: list[str], told: str, environment: dict[str, str]
) -> None:
    done = run_affectd("watch", *words, environment=environment)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
