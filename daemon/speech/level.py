"""How loud an utterance is, how far above what surrounds it, and how much of it is clipped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.speech.segmenter import Utterance
from affectd.daemon.speech.vad import FRAME

# RMS of one least significant bit: digital silence has no level of its own.
SILENCE_DBFS = -90.3
CEILING = 32_700  # where some converters clip, short of full scale
RUN = 2  # samples in a row: one alone may be a peak


@dataclass(frozen=True, slots=True)
class QualitySpec:
    """Which utterances are noisy or clipped, and whether these are withheld."""

    least_snr_db: float = 3.0  # below which an utterance is noisy
    most_clipped: float = 0.02  # share of its samples above which it is clipped, 0..1
    drop: bool = False


class Meter:
    """The level of what was heard since it was read last; it holds sums alone."""

    def __init__(self) -> None:
        self._begin()

    def push(self, samples: NDArray[np.int16], is_voiced: bool) -> None:
        """Take samples, shape (n,); is_voiced: whether some of them are."""
        values = samples / 32768
        self._count += samples.size
        self._sum += float(values.sum())
        self._squares += float(values @ values)
        self._is_voiced |= is_voiced

    def read(self) -> tuple[float, bool] | None:
        """RMS about the mean, relative to full scale, and whether something was voiced.

        None if nothing was heard. Begins anew.
        """
        count, is_voiced = self._count, self._is_voiced
        mean_square, mean = self._squares / max(1, count), self._sum / max(1, count)
        self._begin()
        return (_dbfs(mean_square - mean**2), is_voiced) if count else None

    def _begin(self) -> None:
        self._count, self._sum, self._squares, self._is_voiced = 0, 0.0, 0.0, False


def flaws(snr: float | None, clipped: float, spec: QualitySpec) -> list[str]:
    """Which of `noisy` and `clipped` an utterance is."""
    is_noisy = snr is not None and snr < spec.least_snr_db
    found = {"noisy": is_noisy, "clipped": clipped > spec.most_clipped}
    return [name for name, is_so in found.items() if is_so]


def level_dbfs(utterance: Utterance) -> float:
    """RMS level of the voiced frames about the utterance's mean, relative to full scale."""
    return _dbfs(_frame_powers(utterance)[utterance.voiced].mean())


def levels_dbfs(utterance: Utterance) -> NDArray[np.float64]:
    """RMS level of each frame about the utterance's mean, relative to full scale, shape (n,)."""
    decibels = 10 * np.log10(np.maximum(_frame_powers(utterance), 1e-30))
    return np.asarray(np.maximum(decibels, SILENCE_DBFS))


def snr_db(utterance: Utterance) -> float | None:
    """Level of the voiced frames above that of the others; None if there are no others."""
    powers = _frame_powers(utterance)
    if utterance.voiced.all():
        return None
    return _dbfs(powers[utterance.voiced].mean()) - _dbfs(powers[~utterance.voiced].mean())


def clipped_share(utterance: Utterance) -> float:
    """Share of the samples, 0..1, that lie in runs of RUN or more at one end of the scale."""
    samples = utterance.samples
    ends = (samples >= CEILING) | (samples <= -CEILING)
    edges = np.flatnonzero(np.diff(ends, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= RUN].sum() / samples.size)


def _frame_powers(utterance: Utterance) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Mean square of each frame without the offset that some microphones add, shape (n,)."""
    # The mean of one frame would take some of a low voice with it.
    samples = (utterance.samples - utterance.samples.mean()) / 32768
    frames = samples.reshape(-1, FRAME)
    return np.asarray((frames**2).mean(axis=1))


def _dbfs(power: float) -> float:
    return max(SILENCE_DBFS, float(10 * np.log10(max(power, 1e-30))))
