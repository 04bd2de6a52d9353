"""What the journal holds, for another process to read while the daemon writes."""

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from affectd.daemon.errors import JournalError
from affectd.daemon.publish.journal_file import BUSY_S, is_damage, reason, recognise, verify
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage

logger = logging.getLogger(__name__)

Message = TypeVar("Message", UtteranceMessage, MoodMessage)
PAGE: Final = 500  # rows that are read at once, so that the daemon's log can be emptied between


@dataclass(frozen=True, slots=True)
class Span:
    """A node was in one state for so long; what lies between two spans is not known."""

    node: str
    state: str  # as in HealthMessage.listening
    reason: str  # for people; empty if it is listening
    time: str  # ISO time, as messages have it
    until: str  # the same; when it changed or was last told


class History:
    """The journal, read only; whatever it yields is in the order of entry.

    Everywhere: since, until: ISO times as messages have them, of which the first is included and
    the last is not; node: of which node, None for all. Raises JournalError if there is no journal,
    if it is damaged, or of a newer affectd.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            is_there = path.is_file()
        except PermissionError as error:
            raise self._unreadable(error) from error
        if not is_there:
            raise JournalError(
                f"there is no journal of readings {path}; `affectd run` begins one, "
                "and journal.path says where it is"
            )
        uri = f"{path.absolute().as_uri()}?mode=ro"
        try:
            self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        try:
            self._is_empty = not recognise(self._connection, path)
        except sqlite3.Error as error:
            self.close()
            raise self._unreadable(error) from error
        except JournalError:
            self.close()
            raise

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def readings(
        self, since: str | None = None, until: str | None = None, node: str | None = None
    ) -> Iterator[UtteranceMessage]:
        """Yield the readings of a time."""
        rows = self._rows("readings", "payload", "time", since, until, node)
        return self._messages(rows, UtteranceMessage)

    def moods(
        self, since: str | None = None, until: str | None = None, node: str | None = None
    ) -> Iterator[MoodMessage]:
        """Yield the moods that began in a time."""
        return self._messages(
            self._rows("moods", "payload", "time", since, until, node), MoodMessage
        )

    def mood_before(self, time: str, node: str) -> MoodMessage | None:
        """The last mood of a node that began before an ISO time; None if none was kept."""
        rows = self._asked(
            "SELECT payload FROM moods WHERE node = ? AND time < ? ORDER BY entry DESC LIMIT 1",
            *(node, time),
        )
        return next(self._messages(iter(rows), MoodMessage), None)

    def spans(
        self, since: str | None = None, until: str | None = None, node: str | None = None
    ) -> Iterator[Span]:
        """Yield the states of listening that reached into a time; they may overlap its ends."""
        columns = "node, state, reason, time, until"
        for row in self._rows("listening", columns, "until", since, until, node):
            yield Span(*row)

    def expired(self) -> dict[str, int]:
        """How many readings were dropped unsent since the journal was begun, by node."""
        return dict(self._asked("SELECT node, readings FROM expired ORDER BY node"))

    def pending(self) -> dict[str, int]:
        """How many readings the broker has not acknowledged, by node."""
        return dict(self._asked("SELECT node, count(*) FROM outbox GROUP BY node ORDER BY node"))

    def count(self) -> int:
        """How many readings there are."""
        (row,) = self._asked("SELECT count(*) FROM readings") or [(0,)]
        return int(row[0])

    def verify(self) -> None:
        """Read the whole file to see whether it is damaged, which takes seconds if it is large."""
        if self._is_empty:
            return
        try:
            verify(self._connection)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _rows(
        self,
        table: str,
        columns: str,
        end: str,
        since: str | None,
        until: str | None,
        node: str | None,
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows in pages, each of them a reading transaction of its own."""
        question = (
            f"SELECT entry, {columns} FROM {table} WHERE entry > ?1 AND {end} >= ?2 "  # noqa: S608
            "AND (?3 IS NULL OR time < ?3) AND (?4 IS NULL OR node = ?4) ORDER BY entry LIMIT ?5"
        )
        entry = 0
        while page := self._asked(question, entry, since or "", until, node, PAGE):
            yield from (row[1:] for row in page)
            entry = page[-1][0]

    def _messages(self, rows: Iterator[tuple[Any, ...]], kind: type[Message]) -> Iterator[Message]:
        odd = 0
        for (payload,) in rows:
            try:
                yield msgspec.json.decode(payload, type=kind)
            except msgspec.MsgspecError:
                odd += 1
        if odd:
            logger.warning("%d entries of %s are not understood, and left out", odd, self.path)

    def _asked(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        if self._is_empty:
            return []
        try:
            return self._connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error | OSError) -> JournalError:
        remedy = "see that this user may read it"
        if is_damage(error):
            remedy = "`affectd run` sets it aside and begins a new one"
        return JournalError(
            f"the journal of readings {self.path} cannot be read ({reason(error)}); {remedy}"
        )
