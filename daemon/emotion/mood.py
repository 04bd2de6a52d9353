"""The slow state of a room: readings smoothed over time, with hysteresis."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Reading
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN
from affectd.daemon.speech.vad import RATE_HZ

# The mood where nothing was heard for long.
IDLE: Final = "idle"
EVEN: Final = (1 / len(EMOTIONS),) * len(EMOTIONS)


@dataclass(frozen=True, slots=True)
class MoodSpec:
    """When the mood changes."""

    half_life_s: float = 60.0  # after which a reading counts half as much
    agree: int = 3  # the mood changes when so many
    of: int = 4  # of the last so many readings were one emotion,
    margin: float = 0.15  # or when it leads by so much smoothed probability, 0..1
    idle_after_s: float = 600.0  # without a reading of speech the mood is idle


@dataclass(frozen=True, slots=True)
class MoodState:
    """The mood of a room after some reading."""

    mood: str  # one of EMOTIONS, or IDLE
    since: int  # sample at which this mood began
    confidence: float  # 0..1, smoothed probability of the mood; 0 when idle
    probabilities: tuple[float, ...]  # smoothed, in the order of EMOTIONS
    utterances: int  # readings of speech since the service began


class Mood:
    """Sums readings, weighted by confidence, with a weight that halves every half-life.

    The emotion with the most evidence becomes the mood at once if there is none. Then another one
    must lead by the margin, or be what enough of the last readings were.
    """

    def __init__(self, spec: MoodSpec) -> None:
        self._spec = spec
        self._evidence: NDArray[np.float64] = np.zeros(len(EMOTIONS))
        self._recent: deque[str] = deque(maxlen=spec.of)
        self._at = 0  # sample of the newest reading, or at which the capture began
        self.state = MoodState(IDLE, 0, 0.0, EVEN, 0)

    def push(self, reading: Reading, at: int) -> MoodState:
        """Take a reading of speech made at a sample index and return the mood after it."""
        self._evidence *= 0.5 ** ((at - self._at) / (self._spec.half_life_s * RATE_HZ))
        self._evidence += reading.confidence * np.array(reading.probabilities)
        self._recent.append(reading.emotion)
        self._at = at
        smooth = self._evidence / self._evidence.sum()
        mood = self._chosen(smooth)
        self.state = MoodState(
            mood=mood,
            since=self.state.since if mood == self.state.mood else at,
            confidence=float(smooth[EMOTIONS.index(mood)]),
            probabilities=tuple(float(p) for p in smooth),
            utterances=self.state.utterances + 1,
        )
        return self.state

    def rest(self, at: int) -> bool:
        """Let time pass to a sample index; tell whether the mood has become idle by that."""
        is_long = at - self._at >= self._spec.idle_after_s * RATE_HZ
        if self.state.mood == IDLE or not is_long:
            return False
        self._evidence[:] = 0
        self._recent.clear()
        self.state = MoodState(IDLE, at, 0.0, EVEN, self.state.utterances)
        return True

    def _chosen(self, smooth: NDArray[np.float64]) -> str:
        now, leader = self.state.mood, EMOTIONS[int(smooth.argmax())]
        if now == IDLE:
            return leader
        likeliest, count = Counter(self._recent).most_common(1)[0]
        if count >= self._spec.agree and likeliest != UNKNOWN:
            return likeliest
        leads_by = smooth.max() - smooth[EMOTIONS.index(now)]
        return leader if leads_by >= self._spec.margin else now
