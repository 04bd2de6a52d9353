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
from typing import Final

import msgspec

from affectd.daemon.capture.source import State
from affectd.daemon.publish.journal_bounds import JournalBounds, since_boot_s
from affectd.daemon.publish.journal_store import JournalStore
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage

logger = logging.getLogger(__name__)

STRETCH_S: Final = 300.0  # a state that lasts is noted anew so often
UNTOLD_S: Final = 180.0  # a state that was not told for so long is not known to have lasted
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
    told_s: tuple[float, float]  # the same, by the clock that runs and by the wall clock
    noted_s: float  # since boot, when `until` was last written


class Journal:
    """Readings, moods and states of listening of all nodes in a process, in one SQLite file.

    What a call has entered when it returns survives the death of the process at any instant
    (SIGKILL too). A power cut may lose what the system had not yet written to the disk, mostly the
    last half minute, but leaves the journal whole: nothing is forced onto the disk but when the
    write-ahead log is emptied, once in CHECKPOINT_READINGS, and then after a reading is sent.

    JournalBounds says how much it keeps, and JournalStore what happens if its file is full, damaged
    or removed: calls tell that they did not work. All calls may come from any thread.
    """

    def __init__(
        self,
        path: Path,
        rows: int,
        days: float,
        *,
        wall_s: Callable[[], float] = time.time,
        running_s: Callable[[], float] = since_boot_s,
    ) -> None:
        """Open the journal, or make one, and its folder. Raises JournalError if that fails.

        wall_s: seconds since 1970. running_s: seconds since any instant, never set back.
        """
        self.path = path
        self._bounds = JournalBounds(rows, days, wall_s, running_s)
        self._wall_s, self._running_s = wall_s, running_s
        self._lock = threading.Lock()  # guards the next
        self._owed: dict[str, None] = {}  # ids that are acknowledged, but found no room yet
        self._moods: dict[str, str] = {}  # node -> the newest
        self._spans: dict[str, _Span] = {}  # by node
        self._to_checkpoint = CHECKPOINT_READINGS
        self._store = JournalStore(path, self._begin)

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
                    *(*self._bounds.now(), payload),
                ),
            )
            if added.rowcount:
                outbox = "INSERT INTO outbox (node, entry) VALUES (?, ?)"
                connection.execute(outbox, (message.node, added.lastrowid))
                self._bounds.drop_readings(connection)

        self._to_checkpoint -= 1
        return self._write(change, readings=1)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Note that the broker has these readings: they are sent, and stay as history.

        If that finds no room it is kept in memory and entered with whatever is entered next.
        """
        with self._lock:
            self._owed |= dict.fromkeys(ids)
            for id_ in list(self._owed)[:-MOST_OWED]:
                del self._owed[id_]
        if self._write(lambda _: None) and self._to_checkpoint <= 0:
            self._to_checkpoint = CHECKPOINT_READINGS
            self._store.checkpoint()

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
            rows = self._store.read(PAGE, node, self._owed_ids(), after, last, limit)
            page = [Unsent(entry, message) for entry, text in rows if (message := _decoded(text))]
            odd = [entry for entry, _ in rows if entry not in {unsent.entry for unsent in page}]
            if odd:
                self._give_up(node, odd)
            if page or not rows:
                return page
            after = rows[-1][0]

    def count_pending(self, node: str) -> int:
        """How many readings of a node are unsent; 0 if the journal cannot be read."""
        rows = self._store.read(f"SELECT count(*) {UNSENT}", node, self._owed_ids())
        return int(rows[0][0]) if rows else 0

    def newest(self) -> int:
        """The entry of the newest reading of any node, 0 if there is none."""
        rows = self._store.read("SELECT coalesce(max(entry), 0) FROM readings")
        return int(rows[0][0]) if rows else 0

    def expired(self, node: str) -> int:
        """How many readings of a node were dropped unsent since the journal was begun."""
        rows = self._store.read("SELECT readings FROM expired WHERE node = ?", node)
        return int(rows[0][0]) if rows else 0

    def mood(self, message: MoodMessage) -> None:
        """Enter a mood if it is another than the node's last, or the first of this run."""

        def change(connection: sqlite3.Connection) -> None:
            row = (
                message.node,
                message.since,
                *self._bounds.now(),
                msgspec.json.encode(message).decode(),
            )
            connection.execute(
                "INSERT INTO moods (node, time, kept_s, entered_s, payload) VALUES (?, ?, ?, ?, ?)",
                row,
            )
            self._bounds.drop(connection, "moods")

        if self._moods.get(message.node) != message.mood and self._write(change):
            self._moods[message.node] = message.mood

    def listening(self, node: str, state: State, why: str, now: str) -> None:
        """Enter the state that a node is in, to be told at each change and about every minute.

        A state that is told again lasts longer; that is written every STRETCH_S at most, so that
        of a process that dies the last minutes are missing, and not made up. Where nothing was told
        for long, as while the machine sleeps, or the clock was set, nothing is known: what is told
        next begins anew. why: reason of the state, for people. now: ISO time, as messages have it.
        """
        span, told_s = self._spans.get(node), (self._running_s(), self._wall_s())
        is_over = True
        if span is not None and _follows(span.told_s, told_s):
            span.until, span.told_s = max(span.until, now), told_s
            is_over = (span.state, span.reason) != (state, why)
            if not is_over and told_s[0] - span.noted_s < STRETCH_S:
                return

        def change(connection: sqlite3.Connection) -> None:
            self._stretch(connection, node)
            if is_over:
                self._begin_span(connection, node, state, why, now)
            self._bounds.drop_all(connection)

        if not self._write(change) and is_over:
            self._spans.pop(node, None)

    def close(self) -> None:
        """Note how long the states lasted, bring all into one file and close it."""

        def change(connection: sqlite3.Connection) -> None:
            for node in self._spans:
                self._stretch(connection, node)

        self._write(change)
        self._store.close()

    def _begin_span(
        self, connection: sqlite3.Connection, node: str, state: State, why: str, now: str
    ) -> None:
        added = connection.execute(
            "INSERT INTO listening (node, time, until, state, reason, kept_s, entered_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node, now, now, state, why, *self._bounds.now()),
        )
        running_s = self._running_s()
        told_s = running_s, self._wall_s()
        self._spans[node] = _Span(added.lastrowid or 0, state, why, now, told_s, running_s)

    def _stretch(self, connection: sqlite3.Connection, node: str) -> None:
        span = self._spans.get(node)
        if span is None:
            return
        connection.execute(
            "UPDATE listening SET until = ?, kept_s = ?, entered_s = ? WHERE entry = ?",
            (span.until, *self._bounds.now(), span.entry),
        )
        span.noted_s = self._running_s()

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

    def _write(self, change: Callable[[sqlite3.Connection], None], *, readings: int = 0) -> bool:
        """Change the journal, and enter what is owed; tell whether that worked."""
        with self._lock:
            owed = list(self._owed)

        def whole(connection: sqlite3.Connection) -> None:
            connection.executemany(ACKNOWLEDGE, [(id_,) for id_ in owed])
            change(connection)

        is_written = self._store.write(whole, readings=readings)
        if is_written:
            with self._lock:
                for id_ in owed:
                    self._owed.pop(id_, None)
        return is_written

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Nothing of this run is in the file, which is new or was just opened."""
        self._moods.clear()
        self._spans.clear()
        self._bounds.begin(connection)


def _follows(before: tuple[float, float], now: tuple[float, float]) -> bool:
    """Whether so little time has passed, by both clocks, that a state has lasted.

    Each: seconds by the clock that runs, which counts sleep as well, and by the wall clock.
    """
    passed_s, wall_passed_s = now[0] - before[0], now[1] - before[1]
    return passed_s <= UNTOLD_S and abs(wall_passed_s - passed_s) <= UNTOLD_S


def _decoded(payload: str) -> UtteranceMessage | None:
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(payload, type=UtteranceMessage)
    return None
