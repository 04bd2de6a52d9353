"""Whether a node was told not to listen, over restarts: a file that is there, or not."""

import logging
from pathlib import Path

from affectd.daemon.publish.messages import HealthMessage, MoodMessage, UtteranceMessage

logger = logging.getLogger(__name__)


class PauseFile:
    """Follows the health of a node: while it is paused there is an empty file.

    If it cannot be made or removed that is told once; the pause itself holds all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_failing = False

    @property
    def is_paused(self) -> bool:
        """Whether the node was paused when it was heard of last."""
        return self._path.exists()

    def utterance(self, message: UtteranceMessage) -> None:
        """Leave it out."""

    def mood(self, message: MoodMessage) -> None:
        """Leave it out."""

    def speech(self, is_speaking: bool) -> None:
        """Leave it out."""

    def health(self, message: HealthMessage) -> None:
        """Make the file, or remove it."""
        try:
            if message.listening == "paused":
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
