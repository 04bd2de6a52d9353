"""The service's own log as systemd's journal receives it."""

import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from logging_journald import JournaldTransport

from affectd.daemon import own_log
from affectd.daemon.events import Event, about
from affectd.daemon.journald import JournalHandler
from tests.conftest import ROOT, Mosquitto


class Journald:
    """The socket that journald listens on, and its protocol, read as systemd documents it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listen()

    def listen(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(20)

    def end(self) -> None:
        self.socket.close()
        self.path.unlink()

    def receive(self) -> dict[str, str]:
        data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
        for descriptor in descriptors:
            assert data == b""
            with os.fdopen(descriptor, "rb") as memory:
                data = os.pread(memory.fileno(), 1 << 24, 0)
        return parsed(data)


def parsed(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        assert name.decode() not in found
        found[name.decode()] = value.decode()
    return found


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journald]:
    journald = Journald(tmp_path / "socket")
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", journald.path)
    yield journald
    journald.socket.close()


@pytest.fixture
def logger(journald: Journald) -> Iterator[logging.Logger]:
    # One that pytest does not know: it cannot hand on what is no Unicode to who reports it.
    logger, handler = logging.Logger("affectd.journal-test", logging.DEBUG), JournalHandler()
    logger.addHandler(handler)
    yield logger
    handler.close()


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, "7"),
        (logging.INFO, "6"),
        (logging.WARNING, "4"),
        (logging.ERROR, "3"),
        (logging.CRITICAL, "2"),
    ],
)
def test_a_line_has_the_fields_that_journalctl_finds_it_by(
    logger: logging.Logger, journald: Journald, level: int, priority: str
) -> None:
    logger.log(level, "the microphone %s", "is lost", extra=about("kitchen", Event.LOST))
    found = journald.receive()
    assert int(found.pop("CODE_LINE")) > 50
    assert found == {
        "MESSAGE": "the microphone is lost",
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "affectd",
        "LOGGER": "affectd.journal-test",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_a_line_has_the_fields_that_journalctl_finds_it_by",
        "THREAD_NAME": "MainThread",
        "AFFECTD_NODE": "kitchen",
        "AFFECTD_EVENT": "lost",
        "MESSAGE_ID": "f408458153d14d39be7cb46f990a1867",
    }


def test_a_line_that_is_about_nothing_has_no_node_and_no_id(
    logger: logging.Logger, journald: Journald
) -> None:
    logger.info("hello")
    assert not journald.receive().keys() & {"AFFECTD_NODE", "AFFECTD_EVENT", "MESSAGE_ID"}


@pytest.mark.parametrize(
    "text", ["two\nlines", "a=b\nPRIORITY=0\n", "é€😀", "x" * 1_000_000, "y\n" * 500_000, ""]
)
def test_what_is_said_arrives_as_it_is(
    logger: logging.Logger, journald: Journald, text: str
) -> None:
    logger.info("%s", text)
    found = journald.receive()
    assert found["MESSAGE"] == text
    assert found["PRIORITY"] == "6"


def test_what_is_no_unicode_is_told_in_ascii(logger: logging.Logger, journald: Journald) -> None:
    logger.info("%s", os.fsdecode(b"caf\xe9"))
    assert journald.receive()["MESSAGE"] == "caf\\udce9"


def test_an_error_comes_with_its_traceback(logger: logging.Logger, journald: Journald) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("it failed")
    assert journald.receive()["MESSAGE"].endswith("ValueError: no")


def test_a_journal_that_stands_still_holds_nobody_and_is_told_what_is_missing(
    logger: logging.Logger, journald: Journald
) -> None:
    began = time.monotonic()
    for number in range(5000):
        logger.info("line %d", number)
    assert time.monotonic() - began < 10
    received = 0
    journald.socket.setblocking(False)
    while True:
        try:
            assert journald.receive()["MESSAGE"] == f"line {received}"
        except BlockingIOError:
            break
        received += 1
    assert 0 < received < 5000
    logger.info("after")
    assert (
        journald.receive()["MESSAGE"]
        == f"{5000 - received} line(s) did not reach the journal, as it did not take them"
    )
    assert journald.receive()["MESSAGE"] == "after"


def test_a_journal_that_was_away_is_found_again(logger: logging.Logger, journald: Journald) -> None:
    journald.end()
    logger.info("lost")
    journald.listen()
    logger.info("back")
    assert journald.receive()["MESSAGE"].startswith("1 line(s) did not reach")
    assert journald.receive()["MESSAGE"] == "back"


def test_the_journal_is_known_by_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.fstat(2)
    assert own_log.is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    for other in ({}, {"JOURNAL_STREAM": ""}, {"JOURNAL_STREAM": "1:2"}, {"JOURNAL_STREAM": "x"}):
        assert not own_log.is_journal(other)


RUN = """
import sys
from pathlib import Path
from logging_journald import JournaldTransport
JournaldTransport.SOCKET_PATH = Path(sys.argv[1])
from affectd.daemon.cli import main
sys.exit(main(sys.argv[2:]))
"""


class Started:
    """affectd, whose standard error is a file that JOURNAL_STREAM names."""

    def __init__(self, journald: Journald, folder: Path, *words: str, **keys: object) -> None:
        self._file = folder / "stderr"
        with self._file.open("w") as stderr:
            status = os.fstat(stderr.fileno())
            environment = os.environ | {
                "PYTHONPATH": str(ROOT / "src"),
                "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}",
                **{f"AFFECTD_{key.upper()}": str(value) for key, value in keys.items()},
            }
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, journald.path, *words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def standard_error(self) -> str:
        return self._file.read_text()


def test_a_service_tells_the_journal_of_its_broker_and_nothing_to_standard_error(
    journald: Journald, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("abracadabra\n")
    keys = {
        "node": "kitchen",
        "mqtt__port": mosquitto.port,
        "mqtt__username": "anna",
        "mqtt__password_file": tmp_path / "password",
        "audio__device": "a microphone that is not there",
        "log__path": "/dev/null",
        "log__level": "debug",
        "emotion__voice_folder": tmp_path,
        "journal__path": tmp_path / "journal.sqlite",
    }
    said: list[dict[str, str]] = []

    def until(event: str) -> dict[str, str]:
        while not said or said[-1].get("AFFECTD_EVENT") != event:
            said.append(journald.receive())
        return said[-1]

    service = Started(journald, tmp_path, "run", **keys)
    try:
        up = until("broker_up")
        assert (up["AFFECTD_NODE"], up["PRIORITY"]) == ("kitchen", "6")
        broker = f"localhost:{mosquitto.port}"
        assert up["MESSAGE"] == f"connected to the MQTT broker {broker} as affectd/kitchen"
        mosquitto.stop()
        down = until("broker_down")
        assert (down["AFFECTD_NODE"], down["PRIORITY"]) == ("kitchen", "4")
        mosquitto.start()
        assert until("broker_up")["MESSAGE_ID"] == up["MESSAGE_ID"] != down["MESSAGE_ID"]
        service.process.send_signal(signal.SIGHUP)
        until("reloaded")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
    finally:
        service.process.kill()
        service.process.wait()
    assert {"lost"} <= {one.get("AFFECTD_EVENT") for one in said}
    assert {one["SYSLOG_IDENTIFIER"] for one in said} == {"affectd"}
    assert "abracadabra" not in str(said)
    assert "affectd" not in service.standard_error


def test_why_a_command_fails_is_an_error_in_the_journal(journald: Journald, tmp_path: Path) -> None:
    failing = Started(journald, tmp_path, "run", "--config", str(tmp_path / "none.yaml"))
    found = journald.receive()
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("3", "affectd")
    assert found["MESSAGE"].endswith("none.yaml cannot be read: No such file or directory")
    assert failing.process.wait(60) == 2
    assert failing.standard_error == ""
