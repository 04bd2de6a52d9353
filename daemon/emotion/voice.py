"""The voice of a node: what its speech usually sounds like, so that only what differs counts."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from affectd.daemon.emotion.encoding import Encoding

FORMAT: Final = 2
# No value of an encoder frame is so large: speech, noise, tones and nonsense give 6 at most.
LARGEST: Final = 1_000.0

Array = NDArray[np.floating[Any]]
Count = Annotated[int, Meta(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True)
class VoiceSpec:
    """How fast a voice is learnt and forgotten; a bundle made for other settings is refused.

    All counts are encoder frames of 40 ms.
    """

    mean_frames: int = 250  # 10 s of speech weigh as much as the prior of the mean
    deviation_frames: int = 1_000  # 40 s weigh as much as the prior of the deviation
    longest_frames: int = 3_750  # 150 s; of more speech, the older fades


SPEC: Final = VoiceSpec()


class VoiceState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a voice over a restart: counts and two sums for each value, no audio.

    The sums are those of encoder frames that are not normalised, so they outlive a change of
    bundle, but not of its encoder.
    """

    format: int
    encoder: str  # that gave the frames: the first digits of its file's SHA-256
    updated: str  # ISO 8601, UTC
    utterances: Count  # heard since the voice began
    frames: Count  # encoder frames of speech in the sums
    totals: list[float]  # one for each value of an encoder frame
    squares: list[float]

    @property
    def share(self) -> float:
        """How much of the mean is the voice's own, 0..1; the rest is the prior."""
        return self.frames / (self.frames + SPEC.mean_frames)


class Voice:
    """Mean and deviation of the speech heard so far, beginning with those of all voices."""

    def __init__(self, mean: Array, std: Array, encoder: str, spec: VoiceSpec = SPEC) -> None:
        """mean, std: of the training voices, the prior, shape (width,).

        encoder: that gives the frames, as VoiceState has it.
        """
        self._mean, self._std, self._spec = np.asarray(mean), np.asarray(std), spec
        self._encoder = encoder
        self.reset()

    def forget(self) -> None:
        """Forget everything heard, for good."""
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.utterances = 0  # heard since the voice began
        self._frames = 0
        self._totals, self._squares = np.zeros(self._mean.shape), np.zeros(self._mean.shape)

    def mean_std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What to normalise the next utterance with, each of shape (width,)."""
        return statistics(
            self._mean,
            self._std,
            np.asarray(self._frames),
            self._totals,
            self._squares,
            self._spec,
        )

    def hear(self, encoding: Encoding) -> None:
        """Take in an utterance of speech, once it has been read."""
        spoken = encoding.frames[: encoding.count].astype(np.float64)
        self.utterances += 1
        self._frames += encoding.count
        self._totals += spoken.sum(axis=0)
        self._squares += (spoken**2).sum(axis=0)
        self._fade()

    def age(self, share: float) -> bool:
        """Let what was heard weigh only so much, 0..1; tell whether that is a frame less at least.

        What weighs less gives way to the prior and to what is heard next.
        """
        frames = ceil(self._frames * share)
        if frames == self._frames:
            return False
        self._scale(frames)
        return True

    def state(self, updated: str) -> VoiceState:
        """What to keep; updated: the time, ISO 8601."""
        return VoiceState(
            FORMAT,
            self._encoder,
            updated,
            self.utterances,
            self._frames,
            self._totals.tolist(),
            self._squares.tolist(),
        )

    def restore(self, state: VoiceState) -> None:
        """Go on from a state. Raises ValueError, and changes nothing, if it makes no sense."""
        check(state, self._encoder, self._mean.size)
        self.utterances, self._frames = state.utterances, state.frames
        self._totals, self._squares = np.array(state.totals), np.array(state.squares)

    def _fade(self) -> None:
        if self._frames > self._spec.longest_frames:
            self._scale(self._spec.longest_frames)

    def _scale(self, frames: int) -> None:
        kept = frames / self._frames
        self._totals, self._squares = self._totals * kept, self._squares * kept
        self._frames = frames


class FixedVoice(Voice):
    """A voice that stays the prior, whatever is heard."""

    def hear(self, encoding: Encoding) -> None:
        """Take no notice."""


def statistics(
    mean: Array, std: Array, frames: Array, total: Array, squares: Array, spec: VoiceSpec = SPEC
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of a voice, between those of all voices and those of what it has said.

    mean, std: of the training voices, the prior, shape (width,). frames: how many encoder frames
    of speech were heard, shape (...); total, squares: sum and sum of squares of their values,
    shape (..., width). Nothing heard gives the prior.
    """
    frames = np.asarray(frames)[..., None]
    count = np.maximum(frames, 1)
    own_mean = total / count
    own_variance = np.maximum(squares / count - own_mean**2, 0)
    of_mean = frames / (frames + spec.mean_frames)
    of_deviation = frames / (frames + spec.deviation_frames)
    variance = (1 - of_deviation) * np.square(std) + of_deviation * own_variance
    return mean + of_mean * (own_mean - mean), np.sqrt(variance)


class OtherMakerError(ValueError):
    """A state is whole, but another affectd or another encoder made it."""


def check_format(found: int) -> None:
    """Raise OtherMakerError if a state has another format than this version reads."""
    if found != FORMAT:
        other = "an earlier" if found < FORMAT else "a later"
        raise OtherMakerError(
            f"was made by {other} affectd (it has format {found}, this version reads {FORMAT})"
        )


def check(state: VoiceState, encoder: str, width: int) -> None:
    """Raise ValueError, saying why, if a state cannot be that of speech heard by this version.

    encoder: that gives frames now. width: values of an encoder frame.
    """
    check_format(state.format)
    datetime.fromisoformat(state.updated)  # raises ValueError, too
    if state.encoder != encoder:
        raise OtherMakerError(
            f"was made with another encoder ({state.encoder!r}, the bundle has {encoder!r})"
        )
    if not len(state.totals) == len(state.squares) == width:
        raise ValueError(
            f"it has {len(state.totals)} sums and {len(state.squares)} sums of squares "
            f"for encoder frames of {width} values"
        )
    if not _is_possible(state):
        raise ValueError("it holds sums that no speech has")


def _is_possible(state: VoiceState) -> bool:
    """Whether some frames have these sums; what is not finite is not possible."""
    if not 0 <= state.frames <= SPEC.longest_frames:
        return False
    totals, squares = np.array(state.totals), np.array(state.squares)
    if not ((squares >= 0) & (squares <= LARGEST**2 * state.frames)).all():
        return False
    # No sum is larger than that of frames which are all alike.
    return bool((np.abs(totals) <= np.sqrt(squares * state.frames) * (1 + 1e-9)).all())
