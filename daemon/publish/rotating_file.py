"""A file of JSON lines that is rotated in place, by size and by age."""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

logger = logging.getLogger(__name__)

FILES: Final = 4  # the newest, and those that were rotated: .1 to .3
LONGEST_LINE: Final = 65_536  # bytes of a first line that is looked at


class RotatingFile:
    """Takes whole lines; the newest are in the file itself, older ones in `.1` to `.3`.

    A file is rotated before it holds more than its part of `most_bytes`, or when its first line is
    older than its part of `most_s`; then the oldest goes. So the bounds hold for all together, but
    for the time in which nothing runs. How old a file is follows a clock that nobody can set. At a
    start the wall clock tells, and so that a wrong one destroys nothing, the time since the last
    line counts for half of a part at most.

    A file that was moved or removed from outside is made anew. Only this user and its group can
    read it. Only a plain file is rotated: no device, no pipe, and not what a link leads to; one
    that cannot be is told once, and written on. Not safe to use from several threads at once.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: float,
        most_s: float,
        *,
        wall_s: Callable[[], float] = time.time,
        running_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """Open the file. Raises OSError.

        wall_s: seconds since 1970. running_s: seconds since any instant, never set back.
        """
        self.path = path
        self._most_bytes, self._most_s = most_bytes / FILES, most_s / FILES
        self._wall_s, self._running_s = wall_s, running_s
        self._is_failing = False
        self._open()

    def append(self, line: bytes) -> None:
        """Write a whole line, or none of it. Raises OSError."""
        self.rotate_if_due(len(line))
        written = self._file.write(line)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if written != len(line):
            self._file.truncate(os.fstat(self._file.fileno()).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def rotate_if_due(self, more: int = 0) -> None:
        """Rotate what is too old, or would be too large with so many bytes more.

        One that was moved or removed is begun anew first. Raises OSError if it cannot be.
        """
        if not self._is_in_place():
            self._reopen()
        if not self._is_plain:
            return
        size = os.fstat(self._file.fileno()).st_size
        is_old = self._running_s() - self._began_s >= self._most_s
        if not is_old and not (size and size + more > self._most_bytes):
            return
        try:
            self._rotate(is_empty=size == 0)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                logger.error(
                    "the log of readings %s cannot be rotated (%s), and grows on; "
                    "set log.path to a folder this user may write",
                    self.path,
                    error.strerror,
                )
            self._is_failing = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self, is_empty: bool) -> None:
        self._rotated(FILES - 1).unlink(missing_ok=True)
        for number in range(FILES - 1, 1, -1):
            with suppress(FileNotFoundError):
                self._rotated(number - 1).replace(self._rotated(number))
        if is_empty:
            self._began_s = self._running_s()
        else:
            self.path.replace(self._rotated(1))
            self._reopen()

    def _rotated(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _reopen(self) -> None:
        before = self._file
        self._open()
        before.close()

    def _open(self) -> None:
        # A pipe that nobody reads must not hold the service.
        self._file = FileIO(
            self.path, "a", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o640)
        )
        self._is_plain = stat.S_ISREG(self.path.lstat().st_mode)
        self._began_s = self._running_s() - (self._age_s() if self._is_plain else 0.0)

    def _age_s(self) -> float:
        """How old the first line is, as far as the clocks can be believed."""
        written_s = os.fstat(self._file.fileno()).st_mtime
        lasted_s = written_s - (first_s(self.path) or written_s)
        if not 0 <= lasted_s <= self._most_s:  # it would have been rotated: the clock was set
            lasted_s = 0.0
        return lasted_s + min(max(0.0, self._wall_s() - written_s), self._most_s / 2)

    def _is_in_place(self) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        return False


class _Line(msgspec.Struct):
    """When a reading was, or since when a mood is."""

    time: datetime | None = None
    since: datetime | None = None


def first_s(path: Path) -> float | None:
    """When the first line of a file was, in seconds since 1970; None if it does not tell."""
    with suppress(OSError, ValueError, OverflowError):  # ValueError: no JSON, or no time
        with path.open("rb") as file:
            line = msgspec.json.decode(file.readline(LONGEST_LINE), type=_Line)
        if (at := line.time or line.since) is not None:
            return at.timestamp()
    return None
