"""A journal of a household that never was, for tests, benchmarks and pictures.

`python -m tests.report.household JOURNAL [READINGS]` fills one for November 2026.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from affectd.daemon.capture.source import State
from affectd.daemon.emotion.decision import Calibration, Reading, decide
from affectd.daemon.emotion.mood import Mood, MoodSpec, MoodState
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.messages import MoodMessage, Probabilities, iso
from affectd.daemon.report.tally import unix_s
from affectd.daemon.speech.vad import RATE_HZ
from tests.publish.samples import utterance

FIRST_S: Final = unix_s("2026-11-01T00:00:00Z")
DAYS: Final = 30
HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
READINGS: Final = 6000
LEAST_S: Final = 1.0  # between two readings
# How talkative each hour is, and how the emotions are spread; in some hours one more than else.
TALK: Final = (0, 0, 0, 0, 0, 1, 6, 9, 5, 2, 2, 3, 7, 5, 2, 3, 4, 7, 10, 12, 9, 7, 4, 1)
SPREAD: Final = (30, 24, 12, 9, 6, 3, 2, 4)
TEMPERS: Final = {7: 4, 12: 2, 18: 4, 19: 2, 20: 2, 21: 3, 22: 1}  # hour -> emotion's index
CALIBRATION: Final = Calibration(1.0, 0.33, 0.1, 0.9)
REASONS: Final = (
    "it was unplugged, or its sound server ended",
    "no input device holds “Yeti” <USB>; `affectd devices` lists those there are",
)


class Household:
    """One node that runs through some days, but for a morning."""

    def __init__(self, node: str, readings: int, first_s: float, days: int) -> None:
        """first_s: seconds since 1970; readings: about so many."""
        self._node, self._readings = node, readings
        self._first_s, self._last_s = first_s, first_s + days * DAY_S
        self._days = days
        self._random = random.Random(f"{node} {readings} {first_s}")
        self._count = 0

    def live(self, path: Path) -> None:
        """Enter everything."""
        off_s = self._first_s + (self._days // 2 + 0.1) * DAY_S
        for since_s, until_s in (
            (self._first_s, off_s),
            (off_s + 7.4 * HOUR_S, self._last_s),
        ):
            with closing(Journal(path, 10_000_000, 36_500)) as journal:
                self._listen(journal, since_s, until_s)
                self._talk(journal, since_s, until_s)

    def _listen(self, journal: Journal, since_s: float, until_s: float) -> None:
        journal.listening(self._node, "opening", "", iso(since_s))
        changes: dict[float, tuple[State, str]] = {since_s + 0.3: ("listening", "")}
        for _ in range(int((until_s - since_s) / DAY_S)):
            began_s = self._random.uniform(since_s + 1, until_s - 2 * DAY_S / 24)
            state, reason, lasted_s = self._random.choice(
                [
                    ("lost", self._random.choice(REASONS), self._random.expovariate(1 / 400)),
                    ("paused", "paused over MQTT or by a signal", 2 * HOUR_S),
                    ("silent", "it delivers silence alone", self._random.uniform(600, 5000)),
                ]
            )
            changes[began_s] = (state, reason)  # type: ignore[assignment]
            changes[began_s + lasted_s] = ("listening", "")
        for when_s, (state, reason) in sorted(changes.items()):
            journal.listening(self._node, state, reason, iso(when_s))
        last_state, last_reason = changes[max(changes)]
        journal.listening(self._node, last_state, last_reason, iso(until_s))

    def _talk(self, journal: Journal, since_s: float, until_s: float) -> None:
        mood = Mood(MoodSpec())
        self._feel(journal, mood.state, since_s)
        last_s = since_s
        for when_s, temper in self._spoken(since_s, until_s):
            idle = int((min(when_s, last_s + 600) - since_s) * RATE_HZ)
            if mood.rest(idle):
                self._feel(journal, mood.state, since_s)
            reading = self._read(temper)
            self._enter(journal, reading, when_s)
            if reading.is_speech:
                mood.push(reading, int((when_s - since_s) * RATE_HZ))
                self._feel(journal, mood.state, since_s)
            last_s = when_s
        if mood.rest(int((min(until_s, last_s + 600) - since_s) * RATE_HZ)):
            self._feel(journal, mood.state, since_s)

    def _spoken(self, since_s: float, until_s: float) -> Iterator[tuple[float, int | None]]:
        """When something is said, and the index of the emotion that it is likely to have."""
        per_hour = self._readings / self._days / sum(TALK)
        hour_s = since_s
        for hour_s, next_s in pairwise(np.arange(since_s, until_s + 1, HOUR_S)):
            hour = int(hour_s % DAY_S // HOUR_S)
            count = min(
                round(TALK[hour] * per_hour * self._random.uniform(0.2, 1.8)),
                int(0.9 * HOUR_S / LEAST_S),
            )
            every_s = min(HOUR_S / max(count, 1), self._random.uniform(4, 60))
            began_s = self._random.uniform(hour_s, next_s - count * every_s)
            temper = self._random.choice([TEMPERS.get(hour), None])
            for number in range(count):
                yield began_s + number * every_s, temper

    def _read(self, temper: int | None) -> Reading:
        likely = self._random.choices(range(8), SPREAD)[0]
        if temper is not None and self._random.random() < 0.6:
            likely = temper
        weights = np.array([self._random.expovariate(1) for _ in range(8)])
        weights[likely] += self._random.expovariate(1 / 7)
        is_noise = self._random.random() < 0.04
        return decide(weights / weights.sum(), CALIBRATION, 0.2 if is_noise else 0.97, 0.5)

    def _enter(self, journal: Journal, reading: Reading, when_s: float) -> None:
        self._count += 1
        id_ = f"{self._node}-{int(when_s)}-{self._count}"
        message = msgspec.structs.replace(
            utterance(id_),
            node=self._node,
            time=iso(when_s),
            duration_s=round(self._random.uniform(0.8, 3.0), 2),
            emotion=reading.emotion,
            confidence=round(reading.confidence, 6),
            probabilities=Probabilities(*(round(p, 6) for p in reading.probabilities)),
            set=list(reading.prediction_set),
            speech_probability=reading.speech_probability,
        )
        journal.add(message)
        journal.acknowledge([id_])

    def _feel(self, journal: Journal, state: MoodState, began_s: float) -> None:
        message = MoodMessage(
            node=self._node,
            mood=state.mood,  # type: ignore[arg-type]
            since=iso(began_s + state.since / RATE_HZ),
            confidence=round(state.confidence, 6),
            probabilities=Probabilities(*(round(p, 6) for p in state.probabilities)),
            utterances=state.utterances,
        )
        journal.mood(message)


def fill(
    path: Path,
    nodes: tuple[str, ...] = ("kitchen",),
    readings: int = READINGS,
    first_s: float = FIRST_S,
    days: int = DAYS,
) -> None:
    """Fill a journal; readings: about so many of each node."""
    for node in nodes:
        Household(node, readings, first_s, days).live(path)


if __name__ == "__main__":
    fill(Path(sys.argv[1]), readings=int(sys.argv[2]) if len(sys.argv) > 2 else READINGS)
