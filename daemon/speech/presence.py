"""Is someone speaking? Not at every cough, and still while they draw breath."""

from dataclasses import dataclass

from affectd.daemon.speech.vad import RATE_HZ


@dataclass(frozen=True, slots=True)
class PresenceSpec:
    """How long it takes to be believed."""

    on_delay_s: float = 0.0  # of speech, before someone is speaking
    off_delay_s: float = 1.0  # without speech, before nobody is


class Presence:
    """Follows the segmenter with delays; knows time as sample indices."""

    def __init__(self, spec: PresenceSpec) -> None:
        self._spec = spec
        self._since = 0  # when the segmenter changed its mind last
        self._was_speaking = False
        self.is_speaking = False

    def push(self, is_speaking: bool, at: int) -> bool:
        """Take what the segmenter says at a sample index; return whether someone is speaking."""
        if is_speaking != self._was_speaking:
            self._was_speaking, self._since = is_speaking, at
        delay_s = self._spec.on_delay_s if is_speaking else self._spec.off_delay_s
        if at - self._since >= delay_s * RATE_HZ:
            self.is_speaking = is_speaking
        return self.is_speaking

    def end(self) -> None:
        """Nobody speaks any more: nothing is heard."""
        self._was_speaking = self.is_speaking = False
