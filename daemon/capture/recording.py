"""Recordings as a source: WAV, FLAC, OGG and what else libsndfile reads."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.converter import RATES_HZ, Converter, is_rate
from affectd.daemon.capture.source import BLOCK_S, CALM_BLOCK_S, Block, Hearing
from affectd.daemon.errors import RecordingError
from affectd.daemon.speech.vad import RATE_HZ

FAST_BLOCK_S = 1.0


class Recording:
    """A recording, played at the pace of a microphone or as fast as the machine can."""

    def __init__(self, path: Path, *, channel: int | None = None, fast: bool = True) -> None:
        """Check that the recording can be read.

        channel: which one to hear, from 1; None mixes all. fast: do not keep a microphone's pace.
        Raises RecordingError if the file is missing, unreadable, empty, of an impossible rate, or
        lacks the channel.
        """
        self._path, self._channel, self._fast = path, channel, fast
        with _opened(path) as file:
            if file.frames == 0:
                raise RecordingError(f"{path} holds no samples; record it again")
            if not is_rate(file.samplerate):
                raise RecordingError(
                    f"{path} has a rate of {file.samplerate} Hz, not between {RATES_HZ[0]} and "
                    f"{RATES_HZ[1]} Hz; see whether it is damaged, or convert it to {RATE_HZ} Hz"
                )
            if channel is not None and not 1 <= channel <= file.channels:
                raise RecordingError(
                    f"audio.channel is {channel}, but {path} has {file.channels} channel(s)"
                )
            self.duration_s = file.frames / file.samplerate
        self._began = time.time()
        self.position = 0

    @property
    def name(self) -> str:
        """What messages call this source."""
        return str(self._path)

    @property
    def hearing(self) -> Hearing:
        """A recording is always heard."""
        return Hearing("listening", device=self.name, rate_hz=RATE_HZ)

    def blocks(
        self, stop: threading.Event, is_calm: Callable[[], bool] = lambda: False
    ) -> Iterator[Block]:
        """Yield mono 16 kHz blocks until the recording ends or stop is set.

        is_calm: whether longer ones will do, where they keep a microphone's pace. Raises
        RecordingError at a sample that is not a number.
        """
        began = time.monotonic()
        # As if it had just been recorded, so that no reading lies in the future.
        self._began = time.time() - (self.duration_s if self._fast else 0)
        with _opened(self._path) as file:
            converter = Converter(file.samplerate, self._channel)
            rate_hz: int = file.samplerate

            def size() -> int:
                paced_s = CALM_BLOCK_S if is_calm() else BLOCK_S
                return max(1, round(rate_hz * (FAST_BLOCK_S if self._fast else paced_s)))

            read = 0
            for block in _read(self._path, file, size):
                read += len(block)
                due = 0.0 if self._fast else began + read / file.samplerate - time.monotonic()
                if stop.wait(due) if due > 0 else stop.is_set():
                    return
                yield self._played(converter.push(block))
            if read == 0:
                raise RecordingError(f"{self._path} holds no samples; record it again")
            yield self._played(converter.flush())

    def _played(self, samples: NDArray[np.int16]) -> Block:
        self.position += samples.size
        return Block(samples)

    def time_of(self, sample: int) -> float:
        """When a sample was played, had it been played at the pace of a microphone."""
        return self._began + sample / RATE_HZ

    def samples(self) -> NDArray[np.int16]:
        """Return the whole recording at once, shape (n,), mono, 16 kHz."""
        return np.concatenate([block.samples for block in self.blocks(threading.Event())])


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except OSError as error:  # soundfile's word for a missing library
        raise RecordingError(
            "the library libsndfile is missing; install it with `sudo apt install libsndfile1`"
        ) from error
    return soundfile  # type: ignore[no-any-return]


def _read(path: Path, file: Any, size: Callable[[], int]) -> Iterator[NDArray[np.float32]]:
    soundfile = _soundfile()
    at = 0
    while True:
        try:
            block = file.read(size(), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise RecordingError(
                f"{path} is damaged at {at / file.samplerate:.2f} s: {error}"
            ) from error
        if len(block) == 0:
            return
        if not np.isfinite(block).all():
            where = at + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise RecordingError(
                f"{path} has a sample that is not a finite number at "
                f"{where / file.samplerate:.2f} s; export it again as 16-bit audio"
            )
        yield block
        at += len(block)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    soundfile = _soundfile()
    try:
        path.open("rb").close()
        file = soundfile.SoundFile(path)
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read: {error.strerror}; give the path of a WAV, FLAC or OGG file"
        ) from error
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"{path} is not audio that can be read ({error.error_string.rstrip('.')}); "
            "give a WAV, FLAC or OGG file"
        ) from error
    with file:
        yield file
