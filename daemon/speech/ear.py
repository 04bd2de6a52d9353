"""The one way from samples to utterances with features, for service, analysis and training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.speech.mfcc import FeatureSpec, MfccStream
from affectd.daemon.speech.segmenter import Segmenter, SegmenterSpec, Utterance
from affectd.daemon.speech.vad import FRAME, Vad

# Frames whose features are computed at once: one by one they cost more. At the end of an utterance
# fewer than these are left to compute.
BATCH: Final = 10
# Frames at an utterance's beginning whose mean is taken for the microphone's offset, 300 ms. The
# lowest mel band would hold the offset, above all speech.
OFFSET: Final = BATCH


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """An utterance and what the networks need of it."""

    utterance: Utterance
    features: NDArray[np.float32]  # shape (spec.n_frames, spec.n_mfcc), read-only
    frames: int  # how many of n_frames lie wholly in the utterance; the others are zeros


class Ear:
    """Frames blocks of any size, detects voice, cuts utterances and computes their MFCCs.

    The features grow with the utterance, so that at its end only the networks remain to run.
    """

    def __init__(self, features: FeatureSpec, segments: SegmenterSpec, vad_mode: int) -> None:
        self._spec = features
        self._vad = Vad(vad_mode)
        self._segmenter = Segmenter(segments)
        self._rest: NDArray[np.int16] = np.empty(0, np.int16)
        self.is_voiced = False  # the newest frame
        self._begin()

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is being spoken now."""
        return self._segmenter.is_speaking

    @property
    def is_stirring(self) -> bool:
        """Whether an utterance is being spoken, or might be about to begin."""
        return self.is_speaking or self.is_voiced

    @property
    def position(self) -> int:
        """Sample index behind the last whole frame, skipped ones counted."""
        return self._segmenter.position

    def push(self, block: NDArray[np.int16]) -> Iterator[Heard | None]:
        """Take samples, shape (n,); yield for each frame what ended with it, or None."""
        samples = np.concatenate([self._rest, block])
        whole = samples.size - samples.size % FRAME
        self._rest = samples[whole:]
        for frame in samples[:whole].reshape(-1, FRAME):
            self.is_voiced = self._vad.is_speech(frame)
            utterance = self._segmenter.push(frame, self.is_voiced)
            if utterance is None:
                self._follow()
                yield None
            else:
                yield self._complete(utterance)

    def listen(self, blocks: Iterable[NDArray[np.int16]]) -> Iterator[Heard]:
        """Hear blocks to their end and yield each utterance in them."""
        for block in blocks:
            yield from (heard for heard in self.push(block) if heard is not None)
        if (last := self.flush()) is not None:
            yield last

    def flush(self) -> Heard | None:
        """End the capture; a last partial frame is dropped."""
        self._rest = np.empty(0, np.int16)
        utterance = self._segmenter.flush()
        if utterance is not None:
            return self._complete(utterance)
        self._begin()
        return None

    def skip(self, samples: int) -> None:
        """Go on after a gap of whole frames; what was captured before it has been flushed."""
        self._segmenter.skip(samples // FRAME)

    def forget(self) -> None:
        """End the capture, drop what was being spoken, and overwrite it."""
        self._segmenter.forget()
        self._rest[:] = 0
        self._rest = np.empty(0, np.int16)
        self._begin()

    def _begin(self) -> None:
        self._stream = MfccStream(self._spec)
        self._offset: np.float32 | None = None  # of the utterance, in steps of 16 bits
        self._parts: list[NDArray[np.float32]] = []
        self._followed = 0  # frames of the growing utterance whose features are computed

    def _follow(self) -> None:
        growing = self._segmenter.growing
        if len(growing) < self._followed:  # the utterance was too short and has been dropped
            self._begin()
        new = growing[self._followed :]
        if len(new) >= BATCH:
            self._measure(np.concatenate(new))
            self._followed = len(growing)

    def _measure(self, samples: NDArray[np.int16]) -> None:
        """Compute the features of the next samples of the utterance, without their offset."""
        if self._offset is None:
            self._offset = np.float32(samples[: OFFSET * FRAME].mean())
        self._parts.append(self._stream.push(samples - self._offset))

    def _complete(self, utterance: Utterance) -> Heard:
        self._measure(utterance.samples[self._followed * FRAME :])
        frames = sum(map(len, self._parts))
        padding = np.zeros((self._spec.n_frames - frames, self._spec.n_mfcc), np.float32)
        features = np.concatenate([*self._parts, padding])
        features.flags.writeable = False
        self._begin()
        return Heard(utterance, features, frames)
