"""Frames and their voicing become utterances of at most 3 s."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.speech.vad import FRAME


@dataclass(frozen=True, slots=True)
class SegmenterSpec:
    """When an utterance starts and ends; all counts are frames of 30 ms."""

    start_window: int = 6  # an utterance starts when most of these are voiced
    start_voiced: int = 5
    pre_roll: int = 10  # 300 ms kept from before the first voiced frame
    hang_over: int = 15  # 450 ms without a voiced frame end an utterance
    longest: int = 100  # 3.0 s
    least_voiced: int = 20  # 0.6 s; utterances with less are dropped


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech between two silences, at most 3 s."""

    samples: NDArray[np.int16]  # shape (480 * n,), mono, 16 kHz, read-only
    start: int  # sample index since capture began
    voiced: NDArray[np.bool_]  # shape (n,), one a frame of 30 ms, read-only

    @property
    def speech_ratio(self) -> float:
        """Share of voiced frames, 0..1."""
        return float(self.voiced.mean())


class Segmenter:
    """Cuts utterances out of frames pushed one by one; knows no clock and no device."""

    def __init__(self, spec: SegmenterSpec) -> None:
        self._spec = spec
        self._recent: deque[tuple[NDArray[np.int16], bool]] = deque(
            maxlen=spec.pre_roll + spec.start_window
        )
        self._frames: list[NDArray[np.int16]] = []
        self._voiced: list[bool] = []
        self._pushed = 0  # frames since capture began
        self._silence = 0  # frames since the last voiced one
        self.is_speaking = False

    @property
    def growing(self) -> list[NDArray[np.int16]]:
        """The frames, in order, of the utterance that is being spoken; empty between two."""
        return self._frames

    @property
    def position(self) -> int:
        """Sample index behind the newest frame."""
        return self._pushed * FRAME

    def push(self, frame: NDArray[np.int16], voiced: bool) -> Utterance | None:
        """Take the next frame, shape (480,); return the utterance that it ends, if any."""
        if frame.shape != (FRAME,):
            raise ValueError(f"a frame has shape ({FRAME},), not {frame.shape}")
        self._pushed += 1
        if not self.is_speaking:
            self._recent.append((frame, voiced))
            self._start_if_voiced()
            return None
        self._append(frame, voiced)
        if self._silence >= self._spec.hang_over:
            self.is_speaking = False
            return self._cut()
        if len(self._frames) >= self._spec.longest:
            return self._cut()
        return None

    def flush(self) -> Utterance | None:
        """End the capture: return the utterance that was being spoken, if it is long enough."""
        self.is_speaking = False
        self._recent.clear()
        return self._cut()

    def skip(self, frames: int) -> None:
        """Let time pass by so many frames that were not heard; for between two captures."""
        self._pushed += frames

    def forget(self) -> None:
        """Drop and overwrite all frames that are held."""
        for frame in (*self._frames, *(frame for frame, _ in self._recent)):
            frame[:] = 0
        self._frames, self._voiced = [], []
        self.flush()

    def _start_if_voiced(self) -> None:
        window = [voiced for _, voiced in self._recent][-self._spec.start_window :]
        if sum(window) < self._spec.start_voiced:
            return
        first = len(self._recent) - len(window) + window.index(True)
        self.is_speaking = True
        for frame, voiced in list(self._recent)[max(0, first - self._spec.pre_roll) :]:
            self._append(frame, voiced)
        self._recent.clear()

    def _append(self, frame: NDArray[np.int16], voiced: bool) -> None:
        self._frames.append(frame)
        self._voiced.append(voiced)
        self._silence = 0 if voiced else self._silence + 1

    def _cut(self) -> Utterance | None:
        frames, voiced = self._frames, self._voiced
        self._frames, self._voiced = [], []
        if sum(voiced) < self._spec.least_voiced:
            return None
        samples, mask = np.concatenate(frames), np.array(voiced)
        samples.flags.writeable = mask.flags.writeable = False
        return Utterance(samples, (self._pushed - len(frames)) * FRAME, mask)
