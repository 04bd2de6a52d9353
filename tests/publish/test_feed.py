"""The socket that those who watch read from."""

import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest

from affectd.daemon.publish.feed import BUFFER, FULL, LEVEL_S, MOST_READERS, SOCKET, Feed
from affectd.daemon.publish.messages import Event, LevelMessage, MoodMessage, UtteranceMessage
from tests.conftest import wait_until
from tests.publish.samples import mood, utterance

TONE = np.round(16384 * np.sin(2 * np.pi * np.arange(1600) / 16)).astype(np.int16)
NOTHING = np.empty(0, np.int16)


class Reader:
    """A program that is connected to the socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")

    def next(self) -> Event | None:
        """The next event; None at the end."""
        line = self._lines.readline()
        return msgspec.json.decode(line, type=Event) if line else None

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as the path of a socket has 107 characters at most."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def feed(folder: Path) -> Iterator[Feed]:
    one = Feed(folder / "run" / SOCKET)
    one.start()
    yield one
    one.close()


@pytest.fixture
def path(feed: Feed, folder: Path) -> Path:
    return folder / "run" / SOCKET


def connected(feed: Feed, path: Path) -> Reader:
    reader = Reader(path)
    wait_until(lambda: feed.is_watched, "the reader is known")
    return reader


def test_only_user_and_group_may_read_the_socket(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0


def test_a_reader_gets_the_newest_state_of_each_node_and_then_what_comes(
    feed: Feed, path: Path
) -> None:
    kitchen, study = feed.of("kitchen"), feed.of("study")
    kitchen.mood(mood("sad"))
    kitchen.mood(mood("happy"))
    kitchen.utterance(utterance("a"))
    study.speech(True)
    reader = connected(feed, path)
    kitchen.utterance(utterance("b"))
    events = [reader.next() for _ in range(4)]
    assert [(event.node, event.event) for event in events if event] == [
        ("kitchen", "mood"),
        ("kitchen", "utterance"),
        ("study", "speech"),
        ("kitchen", "utterance"),
    ]
    messages = [event.message for event in events if event]
    assert msgspec.json.decode(messages[0], type=MoodMessage) == mood("happy")
    assert msgspec.json.decode(messages[1], type=UtteranceMessage) == utterance("a")
    assert msgspec.json.decode(messages[2]) == "ON"
    assert msgspec.json.decode(messages[3], type=UtteranceMessage) == utterance("b")
    reader.close()


def test_levels_are_measured_only_while_somebody_watches(feed: Feed, path: Path) -> None:
    node = feed.of("kitchen")
    node.hear(TONE, True)
    reader = connected(feed, path)
    node.hear(TONE // 2, False)
    event = reader.next()
    assert event is not None
    # A sine of half the scale is 3 dB below its peak of -6, and half of it another 6 dB.
    level = msgspec.json.decode(event.message, type=LevelMessage)
    assert level.level_dbfs == pytest.approx(-15.1, abs=0.1)
    assert not level.voiced
    reader.close()
    wait_until(lambda: not feed.is_watched, "the reader is gone")


def test_a_node_tells_about_ten_levels_a_second_however_fast_it_hears(
    feed: Feed, path: Path
) -> None:
    node, reader = feed.of("kitchen"), connected(feed, path)
    began = time.monotonic()
    while time.monotonic() - began < 1:
        node.hear(TONE, False)
    lasted = time.monotonic() - began
    node.speech(False)  # comes behind the last level
    levels = 0
    while (event := reader.next()) is not None and event.event == "level":
        levels += 1
    assert 2 <= levels <= lasted / LEVEL_S + 1
    reader.close()


def test_what_was_heard_before_a_pause_is_not_in_the_level_after_it(feed: Feed, path: Path) -> None:
    node, reader = feed.of("kitchen"), connected(feed, path)
    node.hear(TONE, True)
    node.hear(TONE, True)  # waits for its turn
    node.hear(NOTHING, False)
    due = time.monotonic() + LEVEL_S
    wait_until(lambda: time.monotonic() > due, "the next level is due")
    node.hear(np.zeros(480, np.int16), False)
    assert reader.next() is not None
    event = reader.next()
    assert event is not None
    assert msgspec.json.decode(event.message)["level_dbfs"] < -90
    reader.close()


def test_a_reader_that_does_not_read_is_left_behind_and_delays_nobody(
    feed: Feed, path: Path
) -> None:
    slow, node = connected(feed, path), feed.of("kitchen")
    keen: list[Event] = []
    reader = Reader(path)
    thread = threading.Thread(target=lambda: keen.extend(iter(reader.next, None)))
    wait_until(lambda: len(feed._readers) == 2, "both are known")
    thread.start()
    sent, longest_s = 0, 0.0
    while len(feed._readers) == 2:
        began = time.perf_counter()
        node.utterance(utterance(str(sent)))
        longest_s, sent = max(longest_s, time.perf_counter() - began), sent + 1
        assert sent * 400 < 100 * BUFFER
        wait_until(lambda least=sent - 20: len(keen) >= least, "the other reads on")  # type: ignore[misc]
    assert longest_s < 1
    node.utterance(utterance("last"))
    wait_until(lambda: len(keen) == sent + 1, "the other has all")
    while slow.socket.recv(2**16):
        pass  # what the kernel held for it, and then the end
    reader.socket.shutdown(socket.SHUT_RDWR)
    thread.join(20)
    slow.close()
    reader.close()


def test_a_reader_too_many_is_told_so(feed: Feed, path: Path) -> None:
    feed.of("kitchen").speech(False)
    readers = [Reader(path) for _ in range(MOST_READERS)]
    assert all(reader.next() for reader in readers)
    refused = Reader(path)
    event = refused.next()
    assert event is not None
    assert event.event == FULL
    assert "16 others watch already" in msgspec.json.decode(event.message)
    assert refused.next() is None
    readers.pop().close()
    wait_until(lambda: len(feed._readers) == MOST_READERS - 1, "one has left")
    again = Reader(path)
    event = again.next()
    assert event is not None
    assert event.event == "speech"
    for reader in (*readers, refused, again):
        reader.close()


def test_a_reader_that_speaks_is_disconnected(feed: Feed, path: Path) -> None:
    reader = connected(feed, path)
    reader.socket.sendall(b"listening/set OFF\n")
    wait_until(lambda: not feed.is_watched, "it is disconnected")
    reader.close()


def test_the_socket_of_a_process_that_died_is_replaced(folder: Path) -> None:
    path = folder / SOCKET
    dead = os.fork()
    if dead == 0:  # pragma: no cover
        Feed(path).start()
        os._exit(0)
    os.waitpid(dead, 0)
    assert path.exists()
    feed = Feed(path)
    feed.start()
    connected(feed, path).close()
    feed.close()
    assert not path.exists()


def test_the_socket_of_a_living_service_is_not_taken(
    feed: Feed, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Feed(path)
    other.start()
    assert "another affectd is watched at" in caplog.text
    other.of("study").speech(True)
    other.close()
    feed.of("kitchen").speech(True)
    reader = Reader(path)
    event = reader.next()
    assert event is not None
    assert event.node == "kitchen"
    reader.close()


@pytest.mark.parametrize("why", ["file in place of the folder", "path too long", "other file"])
def test_a_socket_that_cannot_be_made_is_told_once_and_the_rest_goes_on(
    why: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = folder / ("x" * 100 if "long" in why else "run") / SOCKET
    if why == "file in place of the folder":
        path.parent.touch()
    elif why == "other file":
        path.parent.mkdir()
        path.write_text("mine")
    feed = Feed(path)
    feed.start()
    feed.of("kitchen").utterance(utterance())
    feed.of("kitchen").hear(TONE, True)
    feed.close()
    assert len(caplog.records) == 1
    assert "cannot be made" in caplog.text
    if why == "other file":
        assert path.read_text() == "mine"
