"""The journal is counted while it is read, entry by entry."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from affectd.daemon.publish.history import History
from affectd.daemon.publish.messages import UtteranceMessage, iso
from affectd.daemon.report.figures import Figures, figures
from affectd.daemon.report.period import Period
from affectd.daemon.report.tally import Tally

logger = logging.getLogger(__name__)

T = TypeVar("T")
Watch = Callable[[Iterable[UtteranceMessage]], Iterable[UtteranceMessage]]


def gather(
    history: History,
    period: Period,
    now_s: float,
    node: str | None = None,
    watch: Watch = iter,
) -> list[tuple[Tally, Figures]]:
    """Count what the journal holds of a period, by node, in the order of names.

    now_s: seconds since 1970. node: of this one alone, even if there is nothing of it. watch: sees
    the readings go by. Raises JournalError.
    """
    since, until = iso(period.since_s), iso(period.until_s)
    tallies = {node: Tally(node, period, now_s)} if node is not None else {}

    def of(name: str) -> Tally:
        if name not in tallies:
            tallies[name] = Tally(name, period, now_s)
        return tallies[name]

    _each(history.spans(since, until, node), lambda span: of(span.node).listen(span))
    for name, tally in tallies.items():
        if before := history.mood_before(since, name):
            _each([before], tally.feel)
    _each(history.moods(since, until, node), lambda mood: of(mood.node).feel(mood))
    _each(
        watch(history.readings(since, until, node)), lambda reading: of(reading.node).read(reading)
    )
    pending, expired = history.pending(), history.expired()
    for tally in tallies.values():
        tally.finish()
    return [
        (tally, figures(tally, pending.get(name, 0), expired.get(name, 0)))
        for name, tally in sorted(tallies.items())
    ]


def _each(entries: Iterable[T], count: Callable[[T], None]) -> None:
    """Count every entry but those whose time or state is none."""
    odd = 0
    for entry in entries:
        try:
            count(entry)
        except ValueError:
            odd += 1
    if odd:
        logger.warning(
            "%d entries of the journal have no valid time or state, and are left out", odd
        )
