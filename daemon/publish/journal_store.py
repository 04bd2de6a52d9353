"""The journal's file while it is in use: it may be full, damaged or removed at any time."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from affectd.daemon.errors import JournalError
from affectd.daemon.publish.journal_file import (
    is_damage,
    is_of_disk,
    open_journal,
    reason,
    set_aside,
    transaction,
    was_left_open,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


class JournalStore:
    """One SQLite file that is read and written by any thread, one at a time.

    A disk that is full, read-only or damaged ends nothing: calls tell that they did not work, one
    error is logged, and a warning when the file is written again. A file that was removed is begun
    anew, and so is a damaged one, which is set aside.
    """

    def __init__(self, path: Path, on_open: Callable[[sqlite3.Connection], None]) -> None:
        """Open the journal, or make one, and its folder.

        on_open: the first change, in a transaction, whenever a file is opened. It must not call
        the store. Raises JournalError if the file cannot be written, but not on a disk that is full
        or fails.
        """
        self.path = path
        self._on_open = on_open
        self._lock = threading.Lock()  # guards all below; nothing but SQLite is called under it
        self._missing = 0  # readings, since the journal could not be written
        self._is_failing = self._is_closed = False
        self._place = (0, 0)  # device and inode of the file that is open
        self._connection: sqlite3.Connection | None = None
        self._begin()

    def read(self, question: str, *values: object) -> list[Any]:
        """The rows that answer a question in SQL; none if the file cannot be read."""
        rows = self._attempt(lambda connection: connection.execute(question, values).fetchall())
        return rows or []

    def write(self, change: Callable[[sqlite3.Connection], None], *, readings: int = 0) -> bool:
        """Make all of a change, or nothing of it; tell whether that worked.

        readings: how many of them are missing in the journal if it does not.
        """

        def whole(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                change(connection)
            self._tell_that_it_works()
            return True

        if self._attempt(whole):
            return True
        with self._lock:
            self._missing += readings
        return False

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the database, and force that onto the disk."""
        self.read("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Bring all into one file and close it."""
        self.checkpoint()
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def _begin(self) -> None:
        error = self._failure(lambda _: None)
        if error is None:
            return
        if is_of_disk(error):
            self._tell_that_it_fails(error)
        elif isinstance(error, JournalError):
            raise error
        else:
            raise JournalError(
                f"the journal of readings {self.path} cannot be written ({reason(error)}); "
                "make room, or set journal.path to a file that this user may write"
            ) from error

    def _attempt(self, do: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the file; None if it fails, also with a new one after damage."""
        done: list[T] = []
        with self._lock:
            if self._is_closed:
                return None
            error = self._failure(lambda connection: done.append(do(connection)))
            if error is not None:
                self._tell_that_it_fails(error)
                return None
        return done[0]

    def _failure(self, do: Callable[[sqlite3.Connection], None]) -> Exception | None:
        """Do something with the file, with a new one after damage; return why it fails, or None."""
        error: Exception | None = None
        for _ in range(2):
            try:
                do(self._connected())
            except (OSError, sqlite3.Error, JournalError) as failure:
                error = failure
                if not is_damage(failure) or not self._is_set_aside(failure):
                    break
            else:
                return None
        return error

    def _connected(self) -> sqlite3.Connection:
        """The connection to what lies at the path now; a new one if that is another file."""
        if self._connection is not None:
            with suppress(FileNotFoundError):
                if self._place_now() == self._place:
                    return self._connection
            self._disconnect()
        self._connection = open_journal(self.path, check=was_left_open(self.path))
        try:
            self._place = self._place_now()
            with transaction(self._connection):
                self._on_open(self._connection)
        except (OSError, sqlite3.Error) as error:
            if not is_damage(error):  # set aside before it is closed
                self._disconnect()
            raise
        return self._connection

    def _place_now(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _is_set_aside(self, error: Exception) -> bool:
        try:
            set_aside(self.path, reason(error))
        except OSError:
            return False
        finally:
            self._disconnect()
        return True

    def _tell_that_it_fails(self, error: Exception) -> None:
        if not self._is_failing:
            logger.error(
                "the journal of readings %s cannot be used (%s); make room or look after the disk, "
                "readings are published all the same, but are not repeated",
                self.path,
                reason(error),
            )
        self._is_failing = True

    def _tell_that_it_works(self) -> None:
        if self._is_failing:
            logger.warning(
                "the journal of readings %s is written again; %d reading(s) are missing in it",
                self.path,
                self._missing,
            )
        self._is_failing, self._missing = False, 0
