"""The voice of a node over restarts: a small JSON file of counts and sums, no audio."""

import logging
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.voice import (
    Array,
    OtherMakerError,
    Voice,
    VoiceState,
    check,
    check_format,
)
from affectd.daemon.errors import VoiceError

logger = logging.getLogger(__name__)

EVERY_S: Final = 60.0  # between two writings, to spare SD cards
DAY_S: Final = 86_400.0

Mark = tuple[int, int, int] | None  # what tells one file from another; None if there is none


class KeptVoice(Voice):
    """A voice that goes on where it was when it is made again.

    Its file is replaced at most once in EVERY_S, and by `close`, so that it is whole at any time.
    What was heard weighs half as much after some days, those between two runs counted.
    A file that was removed or exchanged meanwhile counts: the voice starts anew, or goes on from
    the other file, with the next utterance. A file that is damaged, or that an earlier affectd or
    another encoder made, is moved aside. If the file cannot be written that is told once, and the
    voice adapts all the same.
    """

    def __init__(
        self, path: Path, mean: Array, std: Array, encoder: str, half_life_days: float = 7.0
    ) -> None:
        """Go on from the file, or begin it; mean, std, encoder: as those of Voice."""
        super().__init__(mean, std, encoder)
        self._path, self._half_life_s = path, half_life_days * DAY_S
        self._is_failing = False
        self._tried_at = self._aged_at = 0.0
        self._load()

    def mean_std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What to normalise the next utterance with, of the file as it is now."""
        self._follow()
        return super().mean_std()

    def hear(self, encoding: Encoding) -> None:
        """Take in an utterance of speech, and write the file if that was long ago."""
        now_s = time.monotonic()  # which no correction of the clock moves
        if self._age(now_s - self._aged_at):
            self._aged_at = now_s
        super().hear(encoding)
        self._is_saved = False
        if time.monotonic() - self._tried_at >= EVERY_S:
            self._save()

    def forget(self) -> None:
        """Forget everything heard, in the file too."""
        self.reset()
        self._write()

    def close(self) -> None:
        """Write what has not been written yet."""
        self._save()

    def _save(self) -> None:
        self._follow()
        if not self._is_saved:
            self._write()

    def _age(self, passed_s: float) -> bool:
        return self.age(0.5 ** (max(0.0, passed_s) / self._half_life_s))

    def _follow(self) -> None:
        if _mark(self._path) != self._mark:
            logger.info("%s was removed or exchanged: the voice follows it", self._path)
            self._load()

    def _load(self) -> None:
        """Go on from what is in the file, or start anew and write that."""
        self.reset()
        self._mark = _mark(self._path)
        self._aside: Path | None = None  # where to move what is in the file's place
        self._is_saved, self._tried_at = True, time.monotonic()
        self._aged_at = time.monotonic()  # until when what was heard has aged
        try:
            state = load(self._path, self._encoder, self._mean.size)
        except VoiceError as error:
            state, self._aside = None, _free(self._path)
            name = self._aside.name
            logger.warning("%s; it is moved to %s, and adaptation starts anew", error, name)
        if state is None:
            self._write()
        else:
            self.restore(state)
            self._age(time.time() - datetime.fromisoformat(state.updated).timestamp())

    def _write(self) -> None:
        """Replace the file, or complain once."""
        self._tried_at = time.monotonic()
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._aside is not None:
                self._path.rename(self._aside)
                self._aside = None
            self._mark = _replace(self._path, msgspec.json.encode(self.state(now)) + b"\n")
        except OSError as error:
            self._complain(error)
        else:
            self._is_saved, self._is_failing = True, False

    def _complain(self, error: OSError) -> None:
        if not self._is_failing:
            logger.warning(
                "the voice cannot be kept in %s (%s), so the next start begins anew; "
                "set emotion.voice_folder to a folder this user may write",
                self._path,
                error.strerror,
            )
        self._is_failing = True


class _FormatOfState(msgspec.Struct, frozen=True):
    format: int


def load(path: Path, encoder: str, width: int) -> VoiceState | None:
    """The state in a file, or None if there is none; encoder, width: as for voice.check.

    Raises VoiceError if it cannot be read, is damaged, or was made by another version or encoder.
    """
    try:
        content = path.read_bytes()
        check_format(msgspec.json.decode(content, type=_FormatOfState).format)
        state = msgspec.json.decode(content, type=VoiceState)
        check(state, encoder, width)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise VoiceError(f"the voice in {path} cannot be read ({error.strerror})") from error
    except OtherMakerError as error:
        raise VoiceError(f"{path} {error}") from error
    except ValueError as error:
        raise VoiceError(f"{path} is not the voice of this affectd ({error})") from error
    return state


def _mark(path: Path) -> Mark:
    with suppress(OSError):
        return _mark_of(path.stat())
    return None


def _mark_of(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _free(path: Path) -> Path:
    """The first name beside a path that nothing has: voice-home.json.damaged-1."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def _replace(path: Path, content: bytes) -> Mark:
    """Put a new file, this user's alone, in the place of another; a power cut leaves one whole."""
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        mark = _mark_of(os.fstat(file.fileno()))
    fresh.replace(path)
    return mark
