"""The figures of a node in a period: what the page tells and `affectd report --json` prints."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import UNKNOWN
from affectd.daemon.emotion.mood import IDLE
from affectd.daemon.publish.messages import iso
from affectd.daemon.report.tally import LABELS, MOODS, STATES, Tally

CAUSES = 5  # at most so many are told


class Cause(msgspec.Struct, frozen=True):
    """Why it did not listen, how often and how long in all."""

    state: str
    reason: str
    times: int
    total_s: float


class Figures(msgspec.Struct, frozen=True):
    """Of one node in one period; a state, mood or emotion that did not occur is left out."""

    node: str
    period: str  # such as 2026-11-25, 2026-W48 or 2026-11
    since: str  # ISO time
    until: str  # the same, the first that is not of the period
    readings: int
    unknown: int
    unknown_share: float | None  # null without a reading
    emotions: dict[str, int]  # readings, `unknown` too
    confidence: float | None  # mean of all readings
    speech_s: float  # of the utterances that were read
    mood: str | None  # that lasted longest, `idle` apart
    mood_s: dict[str, float]
    passed_s: float  # of the period, until now
    listening_s: dict[str, float]  # by state
    not_known_s: float  # of what has passed: it did not run, or nothing was entered
    losses: int  # times that the microphone was lost or failed
    longest_loss_s: float  # within the period
    causes: list[Cause]  # that took longest, the longest first
    pending: int  # readings that wait for the broker now
    expired: int  # readings that were dropped unsent since the journal was begun
    by_hour: list[
        dict[str, int]
    ]  # readings in each hour, as `emotions`; of weeks and months of day
    hours: list[str]  # which these are, in local time


def figures(tally: Tally, pending: int, expired: int) -> Figures:
    """Sum up what was counted to the end; pending, expired: readings of the node."""
    readings = tally.readings.sum(axis=0)
    count, unknown = int(readings.sum()), int(readings[LABELS.index(UNKNOWN)])
    mood_s = _named(MOODS, tally.mood_s.sum(axis=0))
    listening_s = _named(STATES, tally.listening_s.sum(axis=0))
    causes = sorted(tally.causes.values(), key=lambda cause: -cause.total_s)[:CAUSES]
    period = tally.period
    return Figures(
        node=tally.node,
        period=period.name,
        since=iso(period.since_s),
        until=iso(period.until_s),
        readings=count,
        unknown=unknown,
        unknown_share=unknown / count if count else None,
        emotions=_counted(readings),
        confidence=tally.confidence_sum / count if count else None,
        speech_s=round(tally.speech_s, 1),
        mood=max((mood for mood in mood_s if mood != IDLE), key=lambda m: mood_s[m], default=None),
        mood_s=mood_s,
        passed_s=round(tally.passed_s, 3),
        listening_s=listening_s,
        not_known_s=round(max(0.0, tally.passed_s - float(tally.listening_s.sum())), 3),
        losses=tally.losses,
        longest_loss_s=round(tally.longest_loss_s, 3),
        causes=[Cause(c.state, c.reason, c.times, round(c.total_s, 3)) for c in causes],
        pending=pending,
        expired=expired,
        by_hour=[_counted(hour.total(tally.readings)) for hour in period.hours],
        hours=[hour.label for hour in period.hours],
    )


def _counted(readings: NDArray[np.int64]) -> dict[str, int]:
    return {label: int(n) for label, n in zip(LABELS, readings, strict=True) if n}


def _named(names: tuple[str, ...], total_s: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(s), 3) for name, s in zip(names, total_s, strict=True) if s >= 0.001}
