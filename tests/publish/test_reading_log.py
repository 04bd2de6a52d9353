import json
import logging
from pathlib import Path

import pytest

from affectd.daemon.errors import LogError
from affectd.daemon.publish.reading_log import ReadingLog
from tests.publish.samples import mood, utterance


def written(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_reading_is_visible_at_once(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "deep" / "down" / "readings.jsonl")
    log.utterance(utterance("x"))
    (line,) = written(log.path)
    assert (line["event"], line["id"], line["emotion"]) == ("utterance", "x", "sad")
    log.close()


def test_a_mood_is_written_when_it_changes(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "readings.jsonl")
    for name in ("calm", "calm", "sad", "sad", "calm"):
        log.mood(mood(name))
    assert [line["mood"] for line in written(log.path)] == ["calm", "sad", "calm"]
    log.close()


def test_an_older_log_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    for id_ in ("first", "second"):
        log = ReadingLog(path)
        log.utterance(utterance(id_))
        log.close()
    assert [line["id"] for line in written(path)] == ["first", "second"]


def test_a_log_that_was_rotated_is_made_anew(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "readings.jsonl")
    log.utterance(utterance("old"))
    log.path.rename(tmp_path / "readings.jsonl.1")
    log.utterance(utterance("new"))
    assert [line["id"] for line in written(log.path)] == ["new"]
    assert [line["id"] for line in written(tmp_path / "readings.jsonl.1")] == ["old"]
    log.close()


def test_a_log_that_cannot_be_made_anew_is_told_and_written_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = ReadingLog(tmp_path / "logs" / "readings.jsonl")
    log.path.parent.rename(tmp_path / "away")
    log.utterance(utterance("lost"))
    assert "cannot be written (No such file or directory)" in caplog.text
    log.path.parent.mkdir()
    log.path.touch()
    log.utterance(utterance("kept"))
    assert [line["id"] for line in written(log.path)] == ["kept"]
    log.close()


def test_others_cannot_read_the_log(tmp_path: Path) -> None:
    log = ReadingLog(tmp_path / "readings.jsonl")
    assert log.path.stat().st_mode & 0o007 == 0
    log.close()


def test_a_full_disk_is_told_once_and_nothing_stops(caplog: pytest.LogCaptureFixture) -> None:
    log = ReadingLog(Path("/dev/full"))
    for _ in range(3):
        log.utterance(utterance())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "/dev/full cannot be written (No space left on device); make room" in caplog.text
    log.close()


def test_room_after_a_full_disk_is_told_with_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SmallDisk(tmp_path / "readings.jsonl")
    log = ReadingLog(disk.path)
    with disk.full():
        log.utterance(utterance("lost"))
        log.utterance(utterance("lost too"))
    log.utterance(utterance("kept"))
    assert [line["id"] for line in written(log.path)] == ["kept"]
    assert "is written again; 2 line(s) are missing" in caplog.text
    log.close()


def test_a_line_that_only_half_fitted_leaves_no_broken_line_behind(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "readings.jsonl")
    log = ReadingLog(disk.path)
    log.utterance(utterance("first"))
    with disk.full(room=100):
        log.utterance(utterance("half"))
    log.utterance(utterance("last"))
    assert [line["id"] for line in written(log.path)] == ["first", "last"]
    log.close()


def test_a_log_that_cannot_be_opened_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match=r"cannot be written \(.*\); set log\.path"):
        ReadingLog(tmp_path / "file" / "readings.jsonl")


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
