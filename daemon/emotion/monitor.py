"""Does the listener say the same of everything? No room is angry all day."""

from collections import Counter, deque
from dataclasses import dataclass

from affectd.daemon.emotion.labels import UNKNOWN
from affectd.daemon.speech.vad import RATE_HZ

# What a household may well be for hours.
USUAL = ("neutral", "calm")


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """When readings count as collapsed to one emotion."""

    over_s: float = 1800.0  # for so long
    share: float = 0.95  # at least so many of the readings, 0..1, were one emotion,
    readings: int = 40  # and there were no fewer of them


class Monitor:
    """Follows the decisions and tells when they are one emotion for an implausibly long time."""

    def __init__(self, spec: MonitorSpec) -> None:
        self._spec = spec
        self._recent: deque[tuple[str, int]] = deque()
        self._counts: Counter[str] = Counter()

    def push(self, emotion: str, at: int) -> None:
        """Take the emotion of a reading made at a sample index; `unknown` is left out."""
        if emotion == UNKNOWN:
            return
        self._recent.append((emotion, at))
        self._counts[emotion] += 1
        # One reading from before is kept, so that the others are known to reach back far enough.
        while len(self._recent) > 1 and at - self._recent[1][1] >= self._spec.over_s * RATE_HZ:
            self._counts[self._recent.popleft()[0]] -= 1

    @property
    def warning(self) -> str:
        """What is odd, for people; empty if nothing is."""
        if len(self._recent) < self._spec.readings:
            return ""
        emotion, count = self._counts.most_common(1)[0]
        over_s = (self._recent[-1][1] - self._recent[0][1]) / RATE_HZ
        is_odd = count >= self._spec.share * len(self._recent) and over_s >= self._spec.over_s
        if emotion in USUAL or not is_odd:
            return ""
        return (
            f"{count} of the last {len(self._recent)} readings are {emotion}, for "
            f"{over_s / 60:.0f} minutes: see whether a noise or a machine is heard all the time, "
            "and reset the voice with `affectd voice reset`"
        )
