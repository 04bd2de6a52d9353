"""The journal's file: a SQLite database, made, recognised, and set aside if it is damaged."""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from affectd.daemon.errors import JournalError

logger = logging.getLogger(__name__)

APPLICATION: Final = 0x61666A6C  # "afjl" in the file's header: it is a journal of affectd
VERSION: Final = 1  # of the tables and of the payloads in them
# Small pages: a reading changes few bytes, and whole pages are written.
PAGE_BYTES: Final = 1024
# The write-ahead log goes into the database at the latest when it has so many pages, and is cut
# back to about that size.
LOG_PAGES: Final = 8000
BUSY_S: Final = 5.0  # to wait for another process that writes
PARTS: Final = ("-wal", "-shm", "")  # the file itself last, as the others belong to it

# kept_s: for how many seconds there had been a journal when this was entered; never decreases.
# entered_s: what the clock said then, in seconds since 1970.
# outbox: readings that the broker has not acknowledged.
TABLES: Final = """
CREATE TABLE readings (
    entry INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, node TEXT NOT NULL, time TEXT NOT NULL,
    emotion TEXT NOT NULL, confidence REAL NOT NULL, kept_s INTEGER NOT NULL,
    entered_s INTEGER NOT NULL, payload TEXT NOT NULL
);
CREATE TABLE outbox (node TEXT, entry INTEGER, PRIMARY KEY (node, entry)) WITHOUT ROWID;
CREATE TABLE moods (
    entry INTEGER PRIMARY KEY, node TEXT NOT NULL, time TEXT NOT NULL, kept_s INTEGER NOT NULL,
    entered_s INTEGER NOT NULL, payload TEXT NOT NULL
);
CREATE TABLE listening (
    entry INTEGER PRIMARY KEY, node TEXT NOT NULL, time TEXT NOT NULL, until TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, kept_s INTEGER NOT NULL, entered_s INTEGER NOT NULL
);
CREATE TABLE expired (node TEXT PRIMARY KEY, readings INTEGER NOT NULL) WITHOUT ROWID;
"""


def open_journal(path: Path, *, check: bool) -> sqlite3.Connection:
    """Open the journal to write, or make one; a damaged one is set aside first.

    check: read the whole file to see if it is damaged, instead of its beginning. The connection
    may be used by any thread, one at a time. Raises JournalError.
    """
    try:
        try:
            return _opened(path, check)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return _opened(path, check=False)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(
            f"the journal of readings {path} cannot be used ({reason(error)}); see that there is "
            "room, or set journal.path to a file that this user may write"
        ) from error


def recognise(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether it is a journal (True) or empty; raises JournalError if it is neither."""
    application, version, tables = (
        _number(connection, question)
        for question in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    if not application and not tables:
        return False
    if application != APPLICATION:
        raise JournalError(
            f"{path} is a database of another program; set journal.path to another file"
        )
    if version > VERSION:
        raise JournalError(
            f"the journal of readings {path} is of version {version}, and this affectd knows none "
            f"above {VERSION}; install the newer affectd again, or move the file away"
        )
    return True


def verify(connection: sqlite3.Connection) -> None:
    """Read the whole file. Raises sqlite3.DatabaseError if it is damaged."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(" ".join(verdict.split()))
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def set_aside(path: Path, why: str) -> None:
    """Rename a damaged journal to journal.sqlite.damaged-1, or the first number that is free.

    Before its connection is closed: SQLite changes no file that has moved, but would else empty
    the write-ahead log into it.
    """
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    aside = next(n for n in names if not any(os.path.lexists(f"{n}{part}") for part in PARTS))
    for part in PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    logger.warning(
        "the journal of readings %s is damaged (%s): it is kept as %s, and a new one is begun; "
        "readings in it that had not reached the broker stay there",
        path,
        why,
        aside,
    )


def was_left_open(path: Path) -> bool:
    """Whether the last to write the journal was killed, or is still at it."""
    with suppress(OSError):
        return Path(f"{path}-wal").stat().st_size > 0
    return False


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the database itself is wrong, and no attempt will go better."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_of_disk(error: BaseException) -> bool:
    """Whether an error says that the disk is full or fails, which may pass."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError):
        return cause.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def reason(error: BaseException) -> str:
    """What went wrong, for people."""
    if isinstance(error, JournalError) and error.__cause__ is not None:
        return reason(error.__cause__)
    return (isinstance(error, OSError) and error.strerror) or str(error)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is changed inside, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _opened(path: Path, check: bool) -> sqlite3.Connection:
    _make_file(path)
    connection = sqlite3.connect(
        path.absolute(), timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        if not recognise(connection, path):
            _make_tables(connection)
        elif check:
            verify(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * PAGE_BYTES}")
        # What is dropped is overwritten wherever that costs no write of its own.
        connection.execute("PRAGMA secure_delete = FAST")
    except BaseException as error:
        if is_damage(error):
            set_aside(path, str(error))
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    """Make an empty file that is this user's alone; SQLite gives its other files the same mode.

    One that exists is not even opened: to close it would end SQLite's locks on it in this process.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise JournalError(
                f"{path} is not a regular file, so it cannot be the journal of readings; "
                "set journal.path to a file"
            ) from None


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        if _number(connection, "SELECT count(*) FROM sqlite_master"):
            return  # another process was faster
        for statement in TABLES.split(";")[:-1]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _number(connection: sqlite3.Connection, question: str) -> int:
    number: int
    (number,) = connection.execute(question).fetchone()
    return number
