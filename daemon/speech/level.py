"""How loud an utterance is, and how far above what surrounds it."""

import numpy as np

from affectd.daemon.speech.segmenter import Utterance
from affectd.daemon.speech.vad import FRAME

# RMS of one least significant bit: digital silence has no level of its own.
SILENCE_DBFS = -90.3


def level_dbfs(utterance: Utterance) -> float:
    """RMS level of the voiced frames, relative to full scale."""
    return _dbfs(_frame_powers(utterance)[utterance.voiced].mean())


def snr_db(utterance: Utterance) -> float | None:
    """Level of the voiced frames above that of the others; None if there are no others."""
    powers = _frame_powers(utterance)
    if utterance.voiced.all():
        return None
    return _dbfs(powers[utterance.voiced].mean()) - _dbfs(powers[~utterance.voiced].mean())


def _frame_powers(utterance: Utterance) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    frames = utterance.samples.reshape(-1, FRAME).astype(np.float64) / 32768
    return np.asarray((frames**2).mean(axis=1))


def _dbfs(power: float) -> float:
    return max(SILENCE_DBFS, float(10 * np.log10(max(power, 1e-30))))
