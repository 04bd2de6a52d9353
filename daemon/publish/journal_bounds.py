"""How much the journal keeps, and for how long, by a clock that nobody can set."""

import sqlite3
import time
from collections.abc import Callable
from typing import Final

DAY_S: Final = 86_400
BATCH: Final = 100  # over its bounds, a journal drops the oldest part in so many at once
LONGEST_LEAP: Final = 0.5  # of `days`: what a gap between two runs counts at most

EXPIRE: Final = """
INSERT INTO expired (node, readings) SELECT node, count(*) FROM outbox WHERE entry < ? GROUP BY node
ON CONFLICT (node) DO UPDATE SET readings = readings + excluded.readings
"""
NEWEST_ENTRIES: Final = " UNION ALL ".join(
    f"SELECT * FROM (SELECT kept_s, entered_s FROM {table} ORDER BY kept_s DESC LIMIT 1)"  # noqa: S608
    for table in ("moods", "listening")
)


def since_boot_s() -> float:
    """A clock that nobody sets; it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class JournalBounds:
    """At most `rows` readings, and as many moods and states, none older than `days`.

    The oldest go first, a hundredth at once: at the start, whenever something is entered, and every
    few minutes. How old something is follows a clock that nobody can set; between two runs only the
    wall clock can tell, and so that a wrong one cannot empty the journal, such a gap counts for
    half of `days` at most.
    """

    def __init__(
        self, rows: int, days: float, wall_s: Callable[[], float], running_s: Callable[[], float]
    ) -> None:
        if rows < 1 or not days > 0:
            raise ValueError(f"rows must be 1 or more and days above 0, not {rows} and {days}")
        self._rows, self._days_s = rows, days * DAY_S
        self._wall_s, self._running_s = wall_s, running_s
        self._began_s = 0.0  # on the clock running_s; before the first run if negative

    def begin(self, connection: sqlite3.Connection) -> None:
        """Find out how long there has been a journal, and drop what is too much or too old."""
        self._began_s = self._running_s() - self._kept_until_now_s(connection)
        self.drop_all(connection)

    def now(self) -> tuple[int, int]:
        """What an entry of now has as kept_s and entered_s."""
        return self._kept_s(), int(self._wall_s())

    def drop_all(self, connection: sqlite3.Connection) -> None:
        """Drop what is too much or too old of everything."""
        self.drop_readings(connection)
        for table in ("moods", "listening"):
            self.drop(connection, table)

    def drop_readings(self, connection: sqlite3.Connection) -> None:
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

    def drop(self, connection: sqlite3.Connection, table: str) -> None:
        """The same for a small table that is seldom written."""
        connection.execute(
            f"DELETE FROM {table} WHERE kept_s < ? "  # noqa: S608
            f"OR entry <= (SELECT max(entry) FROM {table}) - ?",
            (self._kept_s() - self._days_s, self._rows),
        )

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
