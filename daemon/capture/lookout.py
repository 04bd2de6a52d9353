"""When PortAudio should look for devices anew: it lists them once, and another look costs."""

from typing import Final

SURE: Final = 3  # looks after a loss, or when something around has changed
LOOK_S: Final = 60.0  # after which it looks even if nothing seems to have


class Lookout:
    """Shared by all microphones of a process, as they share the list and a look closes them all."""

    def __init__(self, around: object, now_s: float) -> None:
        """around: what changes when devices come or go; now_s: of a steady clock."""
        self._around, self._looked_s = around, now_s
        self._looks = 0  # that are due

    def lose(self) -> None:
        """Take that a microphone was lost: its device may come back as another one."""
        self._looks = SURE

    def is_due(self, around: object, now_s: float, in_vain: bool) -> bool:
        """Whether to look now, before a microphone is opened; a look that is due is counted.

        in_vain: it was tried before, and no other microphone would be interrupted by a look.
        """
        if around != self._around:
            self._around, self._looks = around, SURE
        if not self._looks and not (in_vain and now_s - self._looked_s >= LOOK_S):
            return False
        self._looks, self._looked_s = max(0, self._looks - 1), now_s
        return True
