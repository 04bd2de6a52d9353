"""Readings, moods and states of listening of one node, counted by time as they come."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.source import State
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN
from affectd.daemon.emotion.mood import IDLE
from affectd.daemon.publish.history import Span
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage
from affectd.daemon.report.period import Period

LABELS: Final[tuple[str, ...]] = (*EMOTIONS, UNKNOWN)
MOODS: Final[tuple[str, ...]] = (*EMOTIONS, IDLE)
STATES: Final[tuple[str, ...]] = get_args(State)
LOST: Final = frozenset({"lost", "failed"})
BINS: Final = 20  # of confidence, 0..1
SEAM_S: Final = 1.0  # two states with less between them are of one run


@dataclass(slots=True)
class Cause:
    """Why a node did not listen."""

    state: str
    reason: str  # for people
    times: int = 0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Piece:
    what: str
    reason: str
    since_s: float
    until_s: float


class _Chain:
    """Of pieces in the order of entry each ends where the next begins, and no second is in two.

    A clock that was set back makes pieces overlap; then what was entered first counts, but for one
    that the next begins within.
    """

    def __init__(self) -> None:
        self._last: _Piece | None = None
        self._until_s = float("-inf")

    def push(self, piece: _Piece) -> _Piece | None:
        """Take a piece; return the one before, if anything is left of it."""
        return self._closed(piece, piece.since_s)

    def end(self) -> _Piece | None:
        """Return the last piece."""
        return self._closed(None, float("inf"))

    def _closed(self, piece: _Piece | None, at_s: float) -> _Piece | None:
        last, self._last = self._last, piece
        if last is None:
            return None
        until_s = at_s if last.since_s <= at_s < last.until_s else last.until_s
        since_s = max(last.since_s, self._until_s)
        self._until_s = max(until_s, since_s)
        return _Piece(last.what, last.reason, since_s, until_s) if until_s > since_s else None


class Tally:
    """What is known of a node in a period, in memory that hardly grows with what is counted.

    Everything comes in the order of entry: the states of listening before all moods, as a mood
    counts only while the node is known to run, and readings at any time. What is outside of the
    period is left out. ValueError for a time that is none.
    """

    def __init__(self, node: str, period: Period, now_s: float) -> None:
        """now_s: seconds since 1970; nothing is known of what comes after."""
        self.node, self.period = node, period
        self.passed_s = max(0.0, min(period.until_s, now_s) - period.since_s)
        slots = period.slots
        self.readings: NDArray[np.int64] = np.zeros((slots, len(LABELS)), np.int64)
        # First of readings that are an emotion, then of those that are unknown.
        self.confidence: NDArray[np.int64] = np.zeros((slots, 2, BINS), np.int64)
        self.confidence_sum = 0.0
        self.speech_s = 0.0
        self.mood_s: NDArray[np.float64] = np.zeros((slots, len(MOODS)))
        self.listening_s: NDArray[np.float64] = np.zeros((slots, len(STATES)))
        self.causes: dict[tuple[str, str], Cause] = {}
        self.losses = 0
        self.longest_loss_s = 0.0
        self._loss = (0.0, float("-inf"))  # when the last one began, and when it ended
        self._runs: list[tuple[float, float]] = []  # when it is known to have run, from and to
        self._states, self._moods = _Chain(), _Chain()

    def read(self, message: UtteranceMessage) -> None:
        """Count a reading."""
        slot = int((unix_s(message.time) - self.period.since_s) // self.period.slot_s)
        if 0 <= slot < self.period.slots:
            self.readings[slot, LABELS.index(message.emotion)] += 1
            level = min(int(message.confidence * BINS), BINS - 1)
            self.confidence[slot, int(message.emotion == UNKNOWN), level] += 1
            self.confidence_sum += message.confidence
            self.speech_s += message.duration_s

    def listen(self, span: Span) -> None:
        """Count how long a state lasted. ValueError too for one that is none."""
        if span.state not in STATES:
            raise ValueError(f"{span.state} is not one of {', '.join(STATES)}")
        piece = _Piece(span.state, span.reason, unix_s(span.time), unix_s(span.until))
        self._count_state(self._states.push(piece))

    def feel(self, message: MoodMessage) -> None:
        """Count how long a mood lasted: until the next one, while the node ran."""
        self._count_state(self._states.end())
        piece = _Piece(message.mood, "", unix_s(message.since), float("inf"))
        self._count_mood(self._moods.push(piece))

    def finish(self) -> None:
        """Count the last state and mood; nothing comes after."""
        self._count_state(self._states.end())
        self._count_mood(self._moods.end())

    def _count_state(self, piece: _Piece | None) -> None:
        if piece is None:
            return
        since_s = max(piece.since_s, self.period.since_s)
        until_s = min(piece.until_s, self.period.since_s + self.passed_s)
        if until_s <= since_s:
            return
        _spread(self.listening_s[:, STATES.index(piece.what)], self.period, since_s, until_s)
        if self._runs and since_s <= self._runs[-1][1] + SEAM_S:
            self._runs[-1] = (self._runs[-1][0], until_s)
        else:
            self._runs.append((since_s, until_s))
        if piece.what in LOST:
            self._count_loss(since_s, until_s)
        if piece.reason:
            key = (piece.what, piece.reason)
            cause = self.causes.setdefault(key, Cause(*key))
            cause.times += 1
            cause.total_s += until_s - since_s

    def _count_loss(self, since_s: float, until_s: float) -> None:
        """Count a loss; one that goes on for another reason is still one."""
        began_s, ended_s = self._loss
        if since_s > ended_s:
            self.losses += 1
            began_s = since_s
        self._loss = (began_s, until_s)
        self.longest_loss_s = max(self.longest_loss_s, until_s - began_s)

    def _count_mood(self, piece: _Piece | None) -> None:
        if piece is None:
            return
        first = max(0, bisect_right(self._runs, (piece.since_s, float("inf"))) - 1)
        for from_s, to_s in self._runs[first:]:
            if from_s >= piece.until_s:
                break
            since_s, until_s = max(piece.since_s, from_s), min(piece.until_s, to_s)
            if until_s > since_s:
                _spread(self.mood_s[:, MOODS.index(piece.what)], self.period, since_s, until_s)


def unix_s(time: str) -> float:
    """A message's time in seconds since 1970. Raises ValueError if it is none."""
    return datetime.fromisoformat(time).timestamp()


def _spread(slots_s: NDArray[np.float64], period: Period, since_s: float, until_s: float) -> None:
    """Add the seconds of a stretch within the period to its slots."""
    since, until = since_s - period.since_s, until_s - period.since_s
    first, last = int(since // period.slot_s), min(int(until // period.slot_s), period.slots - 1)
    slots_s[first : last + 1] += period.slot_s
    slots_s[first] -= since - first * period.slot_s
    slots_s[last] -= (last + 1) * period.slot_s - until
