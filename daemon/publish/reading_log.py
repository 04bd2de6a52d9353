"""The log of detected moods that people tail: one JSON object a line."""

import logging
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from affectd.daemon.errors import LogError
from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    UtteranceMessage,
)
from affectd.daemon.publish.rotating_file import RotatingFile

logger = logging.getLogger(__name__)


class ReadingLog:
    """Appends readings and changes of mood to a file, each visible at once to `tail -F`.

    The file is rotated, as RotatingFile does. A full disk is reported once, and once more when
    there is room again; nothing else stops. Safe to use from the threads of several nodes.
    """

    def __init__(self, path: Path, most_bytes: float, most_s: float) -> None:
        """Open the file, making its folder. Raises LogError if that fails.

        most_bytes, most_s: what is kept, in all and for how long.
        """
        self.path = path
        self._lock = threading.Lock()
        self._moods: dict[str, str] = {}  # the newest of each node
        self._lost = 0  # lines that found no room
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = RotatingFile(path, most_bytes, most_s)
        except OSError as error:
            raise LogError(
                f"the log of readings {path} cannot be written ({error.strerror}); "
                "set log.path to a file this user may write"
            ) from error

    def utterance(self, message: UtteranceMessage) -> None:
        """Append one reading."""
        with self._lock:
            self._append("utterance", message)

    def mood(self, message: MoodMessage) -> None:
        """Append the mood if it has changed."""
        with self._lock:
            is_new = message.mood != self._moods.get(message.node, "")
            if is_new and self._append("mood", message):
                self._moods[message.node] = message.mood

    def speech(self, is_speaking: bool) -> None:
        """Leave it out: the readings say when there was speech."""

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Leave it out: it may tell of what is withheld."""

    def health(self, message: HealthMessage) -> None:  # noqa: ARG002
        """Leave it out, and see whether what was written is too old: it comes every minute."""
        with self._lock, suppress(OSError):  # which the next line tells
            self._file.rotate_if_due()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, kind: str, message: msgspec.Struct) -> bool:
        """Write one line; tell whether there was room."""
        line = msgspec.json.encode({"event": kind} | msgspec.structs.asdict(message)) + b"\n"
        try:
            self._file.append(line)
        except OSError as error:
            if self._lost == 0:
                logger.error(
                    "the log of readings %s cannot be written (%s); make room, "
                    "readings are published all the same",
                    self.path,
                    error.strerror,
                )
            self._lost += 1
            return False
        if self._lost:
            logger.warning("%s is written again; %d line(s) are missing", self.path, self._lost)
        self._lost = 0
        return True
