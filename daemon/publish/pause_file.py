"""Whether a node was told not to listen, over restarts: a file that is there, or not."""

import logging
from collections.abc import Callable
from pathlib import Path

from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    UtteranceMessage,
)

logger = logging.getLogger(__name__)


class PauseFile:
    """While a node is paused there is an empty file; it follows each health, and `close`.

    If it cannot be made or removed that is told once; the pause itself holds all the same.
    """

    def __init__(self, path: Path, is_paused: Callable[[], bool]) -> None:
        """is_paused: whether the node is."""
        self._path, self._is_paused = path, is_paused
        self._is_failing = False

    def utterance(self, message: UtteranceMessage) -> None:
        """Leave it out."""

    def mood(self, message: MoodMessage) -> None:
        """Leave it out."""

    def speech(self, is_speaking: bool) -> None:
        """Leave it out."""

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Leave it out."""

    def health(self, message: HealthMessage) -> None:  # noqa: ARG002
        """Make the file, or remove it."""
        self.close()

    def close(self) -> None:
        """The same."""
        try:
            if self._is_paused():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            if not self._is_failing:
                logger.warning(
                    "%s cannot be written (%s), so a restart forgets whether listening is paused",
                    self._path,
                    error.strerror,
                )
            self._is_failing = True
