"""What is heard where nobody speaks: in silence, and in the hiss of a microphone."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE

MINUTE: Final = 16_000 * 60  # samples
MINUTES: Final = 10  # of each kind of silence
HISSES_DBFS: Final = (-80, -60, -40, -20)


def utterances_an_hour(minutes: int = MINUTES) -> dict[str, float]:
    """How many utterances an hour are heard in digital silence and in white noise, by its level.

    minutes: how much of each is heard.
    """
    levels = {"digital silence": 0.0}
    levels |= {f"hiss at {dbfs} dBFS": 32768 * 10 ** (dbfs / 20) for dbfs in HISSES_DBFS}
    return {name: _heard(level, minutes) * 60 / minutes for name, level in levels.items()}


def _heard(level: float, minutes: int) -> int:
    """Utterances in white noise with a standard deviation of level, in steps of 16 bits."""
    random = np.random.default_rng(0)
    ear = Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE)

    def minute() -> NDArray[np.int16]:
        return np.asarray(np.round(random.normal(0, level, MINUTE)), np.int16)

    return sum(1 for _ in ear.listen(minute() for _ in range(minutes)))
