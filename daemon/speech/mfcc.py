"""Mel-frequency cepstral coefficients: the only features that the encoder sees."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

INT16_SCALE: Final = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Settings of the features; a bundle made for other settings is refused."""

    rate_hz: int = 16_000
    samples: int = 48_240  # length of a padded utterance: 3.0 s, and what its last frame lacks
    window: int = 400  # samples; also the FFT length
    hop: int = 160  # samples
    n_mels: int = 80
    n_mfcc: int = 80  # all of them: the transform can be undone
    fmin_hz: float = 0.0
    fmax_hz: float = 8_000.0
    floor: float = 1e-10  # power below which the decibel scale is cut

    @property
    def n_frames(self) -> int:
        """Frames in a padded utterance; a partial last frame is dropped."""
        return 1 + (self.samples - self.window) // self.hop


def mfcc(pcm: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    """Mel-frequency cepstral coefficients of mono audio.

    pcm: shape (n_samples,), range [-1, 1], at spec.rate_hz.
    Returns shape (n_frames, spec.n_mfcc); a partial last frame is dropped.
    Raises ValueError if pcm is shorter than one window.
    Source: Davis & Mermelstein (1980); Slaney mel scale, orthonormal DCT-II.
    """
    if pcm.size < spec.window:
        raise ValueError(f"{pcm.size} samples are less than one window of {spec.window}")
    window, mel, dct = _tables(spec)
    frames = np.lib.stride_tricks.sliding_window_view(pcm, spec.window)[:: spec.hop]
    spectrum = np.fft.rfft(frames * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    decibels = 10 * np.log10(np.maximum(power @ mel, spec.floor))
    return np.asarray(decibels @ dct, dtype=np.float32)


class MfccStream:
    """The same coefficients from audio as it arrives, in blocks of any size."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._rest: NDArray[np.float32] = np.empty(0, np.float32)

    def push(self, samples: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples, shape (n,), and return the frames they complete, shape (m, n_mfcc).

        samples: in steps of 16 bits, also as fractions of them.
        """
        pcm = np.concatenate([self._rest, samples * INT16_SCALE])
        complete = max(0, 1 + (pcm.size - self._spec.window) // self._spec.hop)
        self._rest = pcm[complete * self._spec.hop :]
        if complete == 0:
            return np.empty((0, self._spec.n_mfcc), np.float32)
        return mfcc(pcm, self._spec)


def cosines(spec: FeatureSpec) -> NDArray[np.float32]:
    """The DCT-II that turns mel channels into coefficients, shape (n_mels, n_mfcc)."""
    return _tables(spec)[2]


@lru_cache(maxsize=4)
def _tables(
    spec: FeatureSpec,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Window (window,), mel weights (bins, n_mels) and DCT-II (n_mels, n_mfcc)."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.window) / spec.window)
    mels = np.arange(spec.n_mels)
    basis = np.cos(np.pi * np.outer(2 * mels + 1, np.arange(spec.n_mfcc)) / (2 * spec.n_mels))
    basis *= np.sqrt(2 / spec.n_mels)
    basis[:, 0] /= np.sqrt(2)
    tables = (hann, _mel_weights(spec), basis)
    return tables[0].astype(np.float32), tables[1].astype(np.float32), tables[2].astype(np.float32)


def _mel_weights(spec: FeatureSpec) -> NDArray[np.float64]:
    """Triangles of unit area on the Slaney mel scale, shape (window // 2 + 1, n_mels)."""
    lowest, highest = _hz_to_mel(spec.fmin_hz), _hz_to_mel(spec.fmax_hz)
    edges = _mel_to_hz(np.linspace(lowest, highest, spec.n_mels + 2))
    bins = np.fft.rfftfreq(spec.window, 1 / spec.rate_hz)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * 2 / (edges[2:] - edges[:-2]))


# Slaney (1998), Auditory Toolbox: linear to 1 kHz, then 27 steps for a factor of 6.4.
_LINEAR_HZ: Final = 200 / 3
_BREAK_HZ: Final = 1_000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP: Final = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return _BREAK_MEL + float(np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, logarithmic)
