import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from affectd.daemon.errors import LogError
from affectd.daemon.publish.reading_log import ReadingLog
from tests.conftest import wait_until
from tests.publish.samples import health, mood, utterance


def opened(path: Path) -> ReadingLog:
    return ReadingLog(path, most_bytes=4e6, most_s=7 * 86_400)


def written(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_reading_is_visible_at_once(tmp_path: Path) -> None:
    log = opened(tmp_path / "deep" / "down" / "readings.jsonl")
    log.utterance(utterance("x"))
    (line,) = written(log.path)
    assert (line["event"], line["id"], line["emotion"]) == ("utterance", "x", "sad")
    log.close()


def test_a_mood_is_written_when_it_changes(tmp_path: Path) -> None:
    log = opened(tmp_path / "readings.jsonl")
    for name in ("calm", "calm", "sad", "sad", "calm"):
        log.mood(mood(name))
    assert [line["mood"] for line in written(log.path)] == ["calm", "sad", "calm"]
    log.close()


def test_an_older_log_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    for id_ in ("first", "second"):
        log = opened(path)
        log.utterance(utterance(id_))
        log.close()
    assert [line["id"] for line in written(path)] == ["first", "second"]


def test_a_log_that_was_rotated_is_made_anew(tmp_path: Path) -> None:
    log = opened(tmp_path / "readings.jsonl")
    log.utterance(utterance("old"))
    log.path.rename(tmp_path / "readings.jsonl.1")
    log.utterance(utterance("new"))
    assert [line["id"] for line in written(log.path)] == ["new"]
    assert [line["id"] for line in written(tmp_path / "readings.jsonl.1")] == ["old"]
    log.close()


def test_a_log_that_cannot_be_made_anew_is_told_and_written_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(tmp_path / "logs" / "readings.jsonl")
    log.path.parent.rename(tmp_path / "away")
    log.utterance(utterance("lost"))
    assert "cannot be written (No such file or directory)" in caplog.text
    log.path.parent.mkdir()
    log.path.touch()
    log.utterance(utterance("kept"))
    assert [line["id"] for line in written(log.path)] == ["kept"]
    log.close()


def test_others_cannot_read_the_log(tmp_path: Path) -> None:
    log = opened(tmp_path / "readings.jsonl")
    assert log.path.stat().st_mode & 0o007 == 0
    log.close()


def test_a_full_disk_is_told_once_and_nothing_stops(caplog: pytest.LogCaptureFixture) -> None:
    log = opened(Path("/dev/full"))
    for _ in range(3):
        log.utterance(utterance())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "/dev/full cannot be written (No space left on device); make room" in caplog.text
    log.close()


def test_room_after_a_full_disk_is_told_with_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SmallDisk(tmp_path / "readings.jsonl")
    log = opened(disk.path)
    with disk.full():
        log.utterance(utterance("lost"))
        log.utterance(utterance("lost too"))
    log.utterance(utterance("kept"))
    assert [line["id"] for line in written(log.path)] == ["kept"]
    assert "is written again; 2 line(s) are missing" in caplog.text
    log.close()


def test_a_line_that_only_half_fitted_leaves_no_broken_line_behind(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "readings.jsonl")
    log = opened(disk.path)
    log.utterance(utterance("first"))
    with disk.full(room=100):
        log.utterance(utterance("half"))
    log.utterance(utterance("last"))
    assert [line["id"] for line in written(log.path)] == ["first", "last"]
    log.close()


def test_a_log_that_cannot_be_opened_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match=r"cannot be written \(.*\); set log\.path"):
        opened(tmp_path / "file" / "readings.jsonl")


def test_nothing_is_kept_in_dev_null() -> None:
    log = ReadingLog(Path("/dev/null"), most_bytes=1, most_s=0.001)
    for _ in range(3):
        log.utterance(utterance())
    assert Path("/dev/null").is_char_device()
    log.close()


def test_a_pipe_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match="cannot be written"):
        opened(tmp_path / "pipe")


def test_a_reader_that_stands_still_loses_lines_but_holds_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = opened(tmp_path / "pipe")
    for number in range(300):  # a pipe holds 64 KiB
        log.utterance(utterance(str(number)))
    assert caplog.text.count("cannot be written (Resource temporarily unavailable)") == 1
    read = os.read(reader, 1 << 20)
    log.utterance(utterance("after"))
    read += os.read(reader, 1 << 20)
    ids = [json.loads(line)["id"] for line in read.splitlines()]
    assert ids == [*map(str, range(len(ids) - 1)), "after"]
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]
    os.close(reader)
    log.close()


def test_lines_of_several_nodes_at_once_are_whole(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "readings.jsonl", most_bytes=1e6, most_s=7 * 86_400)

    def speak(node: int) -> None:
        for number in range(200):
            log.utterance(utterance(f"{node}-{number}"))

    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(speak, range(4)))
    log.close()
    lines = [line for path in tmp_path.iterdir() for line in written(path)]
    assert {line["id"] for line in lines} == {f"{n}-{i}" for n in range(4) for i in range(200)}
    assert len(list(tmp_path.iterdir())) > 1


def test_what_was_written_long_ago_goes_though_nobody_speaks(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "readings.jsonl", most_bytes=1e6, most_s=0.4)
    log.utterance(utterance())

    def is_gone() -> bool:
        log.health(health())
        return not any(path.stat().st_size for path in tmp_path.iterdir())

    wait_until(is_gone, "the line has gone")
    log.close()


class SmallDisk:
    """A file that finds no room while it is full, by the system's own limit on a file's size."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def full(self, room: int = 0) -> "_Full":
        size = self.path.stat().st_size if self.path.exists() else 0
        return _Full(size + room)


class _Full:
    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        import resource
        import signal

        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._limit, self._before[1]))

    def __exit__(self, *_: object) -> None:
        import resource
        import signal

        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        signal.signal(signal.SIGXFSZ, self._handler)
