"""What may be told to a node while it runs, and what is in force now."""

import time
from collections.abc import Callable
from dataclasses import replace

from affectd.daemon.emotion.decision import NO_RULES, Rules
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import CommandError
from affectd.daemon.publish.commands import (
    Classes,
    Command,
    Diagnostics,
    Quiet,
    Threshold,
    VoiceReset,
)


class Control:
    """Takes commands in one thread and is asked in another; each holds until the process ends.

    Spans are measured with a clock that nobody sets. What is written is one value at a time, so
    that nothing waits for anything.
    """

    def __init__(
        self,
        listen: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """listen: is told whether it may be listened; None where there is no microphone."""
        self._listen, self._clock = listen, clock
        self.rules: Rules = NO_RULES
        self._quiet_until_s = self._diagnoses_until_s = float("-inf")
        self._resets = self._taken = 0  # of the voice: asked for, done

    def attach(self, listen: Callable[[bool], None]) -> None:
        """Have another one told whether it may be listened."""
        self._listen = listen

    def listen(self, may: bool) -> None:
        """Pause or resume. Raises CommandError where there is no microphone."""
        if self._listen is None:
            raise CommandError("a recording is played, which cannot be paused")
        self._listen(may)

    def obey(self, command: Command) -> None:
        """Let a command be in force."""
        now_s = self._clock()
        match command:
            case Threshold(threshold=threshold):
                self.rules = replace(self.rules, threshold=threshold)
            case Classes(classes=classes):
                allowed = EMOTIONS if classes is None else classes
                ordered = tuple(emotion for emotion in EMOTIONS if emotion in allowed)
                self.rules = replace(self.rules, classes=ordered)
            case VoiceReset():
                self._resets += 1
            case Diagnostics(for_s=for_s):
                self._diagnoses_until_s = now_s + for_s
            case Quiet(for_s=for_s):
                self._quiet_until_s = now_s + for_s

    @property
    def quiet_s(self) -> float:
        """For how many seconds more readings are withheld; 0 if they are not."""
        return max(0.0, self._quiet_until_s - self._clock())

    @property
    def diagnoses_s(self) -> float:
        """For how many seconds more each utterance is told of; 0 if it is not."""
        return max(0.0, self._diagnoses_until_s - self._clock())

    def take_reset(self) -> bool:
        """Whether the voice must be forgotten now; once for each time that was asked for."""
        asked = self._resets
        is_due, self._taken = asked > self._taken, asked
        return is_due
