"""The slow state of a room: readings smoothed over time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Reading
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.vad import RATE_HZ

# The mood before anything was heard.
IDLE: Final = "idle"


@dataclass(frozen=True, slots=True)
class MoodState:
    """The mood of a room after some reading."""

    mood: str  # one of EMOTIONS, or IDLE before the first reading
    since: int  # sample at which this mood began
    confidence: float  # 0..1, smoothed probability of the mood
    probabilities: tuple[float, ...]  # smoothed, in the order of EMOTIONS
    utterances: int  # readings of speech since the service began


class Mood:
    """Averages readings, weighted by confidence, with a weight that halves every half-life."""

    def __init__(self, half_life_s: float) -> None:
        self._half_life = half_life_s * RATE_HZ
        self._evidence: NDArray[np.float64] = np.zeros(len(EMOTIONS))
        self._at = 0
        even = 1 / len(EMOTIONS)
        self.state = MoodState(IDLE, 0, 0.0, (even,) * len(EMOTIONS), 0)

    def push(self, reading: Reading, at: int) -> MoodState:
        """Take a reading made at a sample index and return the mood after it."""
        self._evidence *= 0.5 ** ((at - self._at) / self._half_life)
        self._evidence += reading.confidence * np.array(reading.probabilities)
        self._at = at
        smooth = self._evidence / self._evidence.sum()
        mood = EMOTIONS[int(smooth.argmax())]
        self.state = MoodState(
            mood=mood,
            since=self.state.since if mood == self.state.mood else at,
            confidence=float(smooth.max()),
            probabilities=tuple(float(p) for p in smooth),
            utterances=self.state.utterances + 1,
        )
        return self.state
