"""The journal of readings: the outbox until the broker has them, and what was heard before."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from affectd.daemon.capture.source import State
from affectd.daemon.errors import JournalError
from affectd.daemon.publish.journal_file import (
    is_damage,
    open_journal,
    reason,
    set_aside,
    transaction,
    was_left_open,
)
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage

logger = logging.getLogger(__name__)

T = TypeVar("T")
DAY_S: Final = 86_400
BATCH: Final = 100  # over its bounds, a journal drops the oldest part in so many at once
LONGEST_LEAP: Final = 0.5  # of `days`: what a gap between two runs counts at most
STRETCH_S: Final = 300.0  # a state that lasts is noted anew so often
CHECKPOINT_READINGS: Final = 500  # between two times that the write-ahead log is emptied
MOST_OWED: Final = 10_000  # acknowledgements that wait for room

ADD: Final = """
INSERT INTO readings (id, node, time, emotion, confidence, kept_s, entered_s, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
ACKNOWLEDGE: Final = """
DELETE FROM outbox WHERE node = (SELECT node FROM readings WHERE id = ?1)
AND entry = (SELECT entry FROM readings WHERE id = ?1)
"""
# Of one node, without those whose acknowledgement waits for room.
UNSENT: Final = """
FROM outbox WHERE node = ?1 AND entry NOT IN (
    SELECT entry FROM readings WHERE id IN (SELECT value FROM json_each(?2)))
"""
PAGE: Final = f"""
SELECT entry, payload FROM readings WHERE entry IN (
    SELECT entry {UNSENT} AND entry > ?3 AND entry <= ?4 ORDER BY entry LIMIT ?5)
ORDER BY entry
"""  # noqa: S608
EXPIRE: Final = """
INSERT INTO expired (node, readings) SELECT node, count(*) FROM outbox WHERE entry < ? GROUP BY node
ON CONFLICT (node) DO UPDATE SET readings = readings + excluded.readings
"""
NEWEST_ENTRIES: Final = " UNION ALL ".join(
    f"SELECT * FROM (SELECT kept_s, entered_s FROM {table} ORDER BY kept_s DESC LIMIT 1)"  # noqa: S608
    for table in ("moods", "listening")
)


@dataclass(frozen=True, slots=True)
class Unsent:
    """A reading that the broker has not acknowledged."""

    entry: int  # its place in the journal: later ones have higher numbers
    message: UtteranceMessage


@dataclass(slots=True)
class _Span:
    """The state a node is in now, as far as it is noted."""

    entry: int
    state: State
    reason: str
    until: str  # when it was last told
    noted_s: float  # since boot, when `until` was last written


def _since_boot_s() -> float:
    """A clock that nobody sets; it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Journal:
    """Readings, moods and states of listening of all nodes in a process, in one SQLite file.

    What a call has entered when it returns survives the death of the process at any instant
    (SIGKILL too). A power cut may lose what the system had not yet written to the disk, mostly the
    last half minute, but leaves the journal whole: nothing is forced onto the disk but when the
    write-ahead log is emptied, once in CHECKPOINT_READINGS, and then after a reading is sent.

    Bounds: at most `rows` readings, and as many moods and states, none older than `days`. The
    oldest go first, a hundredth at once, whenever something is entered and at the start. How old
    something is follows a clock that nobody can set; between two runs only the wall clock can
    tell, and so that a wrong one cannot empty the journal, such a gap counts for half of `days` at
    most.

    A disk that is full, read-only or damaged ends nothing: calls tell that they did not work, one
    warning is logged, and another when the journal is written again. A journal that was removed
    is begun anew. All calls may come from any thread.
    """

    def __init__(
        self,
        path: Path,
        rows: int,
        days: float,
        *,
        wall_s: Callable[[], float] = time.time,
        running_s: Callable[[], float] = _since_boot_s,
    ) -> None:
        """Open the journal, or make one, and its folder. Raises JournalError if that fails.

        wall_s: seconds since 1970. running_s: seconds since any instant, never set back.
        """
        if rows < 1 or not days > 0:
            raise ValueError(f"rows must be 1 or more and days above 0, not {rows} and {days}")
        self.path = path
        self._rows, self._days_s = rows, days * DAY_S
        self._wall_s, self._running_s = wall_s, running_s
        # Guards all below. Nothing but SQLite is called under it.
        self._lock = threading.Lock()
        self._owed: dict[str, None] = {}  # ids that are acknowledged, but found no room yet
        self._moods: dict[str, str] = {}  # node -> the newest
        self._spans: dict[str, _Span] = {}  # by node
        self._missing = 0  # readings, since the journal could not be written
        self._is_failing = self._is_closed = False
        self._to_checkpoint = CHECKPOINT_READINGS
        self._connection: sqlite3.Connection | None = None
        self._place = (0, 0)  # device and inode of the file that is open
        self._began_s = 0.0  # on the clock running_s; before the first run if negative
        self._begin()

    def add(self, message: UtteranceMessage) -> bool:
        """Enter a reading, before it is published; it is unsent until it is acknowledged.

        Returns whether it is in the journal now. If not, it should be published all the same, but
        will not be repeated. One with an id that is there already changes nothing.
        """

        def change(connection: sqlite3.Connection) -> None:
            payload = msgspec.json.encode(message).decode()
            added = connection.execute(
                ADD,
                (
                    *(message.id, message.node, message.time, message.emotion, message.confidence),
                    *(*self._now(), payload),
                ),
            )
            if added.rowcount:
                outbox = "INSERT INTO outbox (node, entry) VALUES (?, ?)"
                connection.execute(outbox, (message.node, added.lastrowid))
                self._drop_readings(connection)

        self._to_checkpoint -= 1
        return self._write(change, reading=True)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Note that the broker has these readings: they are sent, and stay as history.

        If that finds no room it is kept in memory and entered with whatever is entered next.
        """
        with self._lock:
            self._owed |= dict.fromkeys(ids)
            for id_ in list(self._owed)[:-MOST_OWED]:
                del self._owed[id_]
        if self._write(lambda _: None) and self._to_checkpoint <= 0:
            self._checkpoint()

    def pending(
        self, node: str, limit: int, *, after: int = 0, up_to: int | None = None
    ) -> list[Unsent]:
        """A page of a node's unsent readings, in the order of entry; empty when there are no more.

        after: the entry that the last page ended with. up_to: the last entry that is wanted, such
        as what `newest` was when a connection began. A reading that cannot be understood is logged
        and counted as expired.
        """
        last = (1 << 63) - 1 if up_to is None else up_to
        while True:
            rows = self._read(PAGE, node, self._owed_ids(), after, last, limit)
            page = [Unsent(entry, message) for entry, text in rows if (message := _decoded(text))]
            odd = [entry for entry, _ in rows if entry not in {unsent.entry for unsent in page}]
            if odd:
                self._give_up(node, odd)
            if page or not rows:
                return page
            after = rows[-1][0]

    def count_pending(self, node: str) -> int:
        """How many readings of a node are unsent; 0 if the journal cannot be read."""
        rows = self._read(f"SELECT count(*) {UNSENT}", node, self._owed_ids())
        return int(rows[0][0]) if rows else 0

    def newest(self) -> int:
        """The entry of the newest reading of any node, 0 if there is none."""
        rows = self._read("SELECT coalesce(max(entry), 0) FROM readings")
        return int(rows[0][0]) if rows else 0

    def expired(self, node: str) -> int:
        """How many readings of a node were dropped unsent since the journal was begun."""
        rows = self._read("SELECT readings FROM expired WHERE node = ?", node)
        return int(rows[0][0]) if rows else 0

    def mood(self, message: MoodMessage) -> None:
        """Enter a mood if it is another than the node's last, or the first of this run."""

        def change(connection: sqlite3.Connection) -> None:
            row = (message.node, message.since, *self._now(), msgspec.json.encode(message).decode())
            connection.execute(
                "INSERT INTO moods (node, time, kept_s, entered_s, payload) VALUES (?, ?, ?, ?, ?)",
                row,
            )
            self._drop(connection, "moods")

        if self._moods.get(message.node) != message.mood and self._write(change):
            self._moods[message.node] = message.mood

    def listening(self, node: str, state: State, why: str, now: str) -> None:
        """Enter the state that a node is in, to be told at each change and about every minute.

        A state that is told again lasts longer; that is written every STRETCH_S at most, so that
        of a process that dies the last minutes are missing, and not made up. why: reason of the
        state, for people. now: ISO time, as messages have it.
        """
        span = self._spans.get(node)
        if span is None or (span.state, span.reason) != (state, why):
            if not self._write(lambda sql: self._begin_span(sql, node, state, why, now)):
                self._spans.pop(node, None)
        else:
            span.until = max(span.until, now)
            if self._running_s() - span.noted_s >= STRETCH_S:
                self._write(lambda sql: self._stretch(sql, node))

    def close(self) -> None:
        """Note how long the states lasted, bring all into one file and close it."""

        def change(connection: sqlite3.Connection) -> None:
            for node in self._spans:
                self._stretch(connection, node)

        self._write(change)
        self._checkpoint()
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def _begin(self) -> None:
        self._connection = connection = open_journal(self.path, check=was_left_open(self.path))
        try:
            self._place = self._place_now()
            self._began_s = self._running_s() - self._kept_until_now_s(connection)
            with transaction(connection):
                self._drop_readings(connection)
                for table in ("moods", "listening"):
                    self._drop(connection, table)
        except (OSError, sqlite3.Error) as error:
            self._disconnect()
            raise JournalError(
                f"the journal of readings {self.path} cannot be written ({reason(error)}); "
                "make room, or set journal.path to a file that this user may write"
            ) from error

    def _kept_until_now_s(self, connection: sqlite3.Connection) -> float:
        """How long there has been a journal, with what has passed since its last entry."""
        newest: tuple[int, int] | None = connection.execute(
            "SELECT * FROM (SELECT kept_s, entered_s FROM readings ORDER BY entry DESC LIMIT 1) "  # noqa: S608
            f"UNION ALL {NEWEST_ENTRIES} ORDER BY kept_s DESC LIMIT 1"
        ).fetchone()
        if newest is None:
            return 0.0
        gap_s = self._wall_s() - newest[1]
        return newest[0] + min(max(gap_s, 0.0), LONGEST_LEAP * self._days_s)

    def _kept_s(self) -> int:
        return int(self._running_s() - self._began_s)

    def _now(self) -> tuple[int, int]:
        return self._kept_s(), int(self._wall_s())

    def _begin_span(
        self, connection: sqlite3.Connection, node: str, state: State, why: str, now: str
    ) -> None:
        if last := self._spans.get(node):
            last.until = max(last.until, now)
            self._stretch(connection, node)
        added = connection.execute(
            "INSERT INTO listening (node, time, until, state, reason, kept_s, entered_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node, now, now, state, why, *self._now()),
        )
        self._drop(connection, "listening")
        entry = added.lastrowid or 0
        self._spans[node] = _Span(entry, state, why, now, self._running_s())

    def _stretch(self, connection: sqlite3.Connection, node: str) -> None:
        span = self._spans.get(node)
        if span is None:
            return
        connection.execute(
            "UPDATE listening SET until = ?, kept_s = ?, entered_s = ? WHERE entry = ?",
            (span.until, *self._now(), span.entry),
        )
        span.noted_s = self._running_s()

    def _drop_readings(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest readings if there are too many or too old ones.

        Only the oldest ever go, so entries have no gaps, and two look-ups tell how many there are.
        """
        first, last, kept_s = connection.execute(
            "SELECT (SELECT min(entry) FROM readings), (SELECT max(entry) FROM readings), "
            "(SELECT kept_s FROM readings ORDER BY entry LIMIT 1)"
        ).fetchone()
        if first is None:
            return
        keep = first
        if last - first + 1 > self._rows:
            keep = last + 1 - (self._rows - self._rows // BATCH)
        if self._kept_s() - kept_s > self._days_s:
            young_s = self._kept_s() - self._days_s * (1 - 1 / BATCH)
            young = connection.execute(
                "SELECT entry FROM readings WHERE kept_s >= ? ORDER BY entry LIMIT 1", (young_s,)
            ).fetchone()
            keep = max(keep, young[0] if young else last + 1)
        if keep > first:
            connection.execute(EXPIRE, (keep,))
            connection.execute("DELETE FROM outbox WHERE entry < ?", (keep,))
            connection.execute("DELETE FROM readings WHERE entry < ?", (keep,))

    def _drop(self, connection: sqlite3.Connection, table: str) -> None:
        """The same for a small table that is seldom written."""
        connection.execute(
            f"DELETE FROM {table} WHERE kept_s < ? "  # noqa: S608
            f"OR entry <= (SELECT max(entry) FROM {table}) - ?",
            (self._kept_s() - self._days_s, self._rows),
        )

    def _give_up(self, node: str, entries: list[int]) -> None:
        def change(connection: sqlite3.Connection) -> None:
            given_up = 0
            for entry in entries:
                row = (node, entry)
                cursor = connection.execute("DELETE FROM outbox WHERE node = ? AND entry = ?", row)
                given_up += cursor.rowcount
            connection.execute(
                "INSERT INTO expired (node, readings) VALUES (?, ?) "
                "ON CONFLICT (node) DO UPDATE SET readings = readings + excluded.readings",
                (node, given_up),
            )

        logger.warning(
            "%d unsent reading(s) in the journal %s are not understood, and not sent: they are "
            "damaged, or of another version of affectd",
            len(entries),
            self.path,
        )
        self._write(change)

    def _owed_ids(self) -> str:
        with self._lock:
            return json.dumps(list(self._owed))

    def _read(self, question: str, *values: object) -> list[Any]:
        rows = self._attempt(lambda connection: connection.execute(question, values).fetchall())
        return rows or []

    def _write(
        self, change: Callable[[sqlite3.Connection], None], *, reading: bool = False
    ) -> bool:
        """Change the journal, and enter what is owed; tell whether that worked."""

        def whole(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                connection.executemany(ACKNOWLEDGE, [(id_,) for id_ in self._owed])
                change(connection)
            self._owed.clear()
            self._tell_that_it_works()
            return True

        if self._attempt(whole):
            return True
        with self._lock:
            self._missing += reading
        return False

    def _attempt(self, do: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the journal; None if it fails, also with a new one after damage."""
        with self._lock:
            for _ in range(2):
                if self._is_closed:
                    break
                try:
                    return do(self._connected())
                except (OSError, sqlite3.Error, JournalError) as error:
                    if not is_damage(error) or not self._is_set_aside(error):
                        self._tell_that_it_fails(error)
                        break
        return None

    def _connected(self) -> sqlite3.Connection:
        """The connection to what lies at the path now; a new one if that is another file."""
        if self._connection is not None:
            with suppress(FileNotFoundError):
                if self._place_now() == self._place:
                    return self._connection
            self._disconnect()
        self._connection = open_journal(self.path, check=False)
        self._place = self._place_now()
        self._moods.clear()  # another file holds none of these
        self._spans.clear()
        return self._connection

    def _place_now(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _checkpoint(self) -> None:
        self._to_checkpoint = CHECKPOINT_READINGS
        self._read("PRAGMA wal_checkpoint(PASSIVE)")

    def _is_set_aside(self, error: Exception) -> bool:
        try:
            set_aside(self.path, reason(error))
        except OSError:
            return False
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


def _decoded(payload: str) -> UtteranceMessage | None:
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(payload, type=UtteranceMessage)
    return None
