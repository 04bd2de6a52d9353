"""The speech of one utterance as the encoder sees it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """The encoder frames of one utterance, which all other networks read."""

    frames: NDArray[np.float32]  # shape (encoder.frames, encoder.width), not normalised, read-only
    count: int  # how many of the frames are speech; the others are padding
