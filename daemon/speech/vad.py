"""Voice activity detection: is this frame of 30 ms likely to be speech?"""

from typing import Final

import numpy as np
import webrtcvad
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
FRAME: Final = 480  # samples: 30 ms
DEFAULT_MODE: Final = 2  # what training clips are cut with


class Vad:
    """WebRTC's detector. It is a gate, not a proof: loud noise passes it too."""

    def __init__(self, mode: int) -> None:
        """mode: 0 (lets most through) to 3 (lets least through)."""
        self._vad = webrtcvad.Vad(mode)

    def is_speech(self, frame: NDArray[np.int16]) -> bool:
        """Judge one frame, shape (480,), mono, 16 kHz."""
        return bool(self._vad.is_speech(frame.tobytes(), RATE_HZ))
