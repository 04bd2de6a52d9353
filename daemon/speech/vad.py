"""Voice activity detection: is this frame of 30 ms likely to be speech?"""

from typing import Final

import numpy as np
import webrtcvad
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
FRAME: Final = 480  # samples: 30 ms
DEFAULT_MODE: Final = 2  # what training clips are cut with
# Quiet sound is amplified before it is judged: what lately peaked below QUIET_DBFS is brought up to
# it, by at most MOST_DB. The detector would miss a voice of -50 dBFS. It does not take hiss for
# voice for that, but the low, steady noise of some rooms, which the speech gate has to stop.
QUIET_DBFS: Final = -24.0
MOST_DB: Final = 24.0
DECAY_DB_S: Final = 3.0  # how fast the latest peak is forgotten

_FULL_SCALE: Final = 32768
_QUIET: Final = _FULL_SCALE * 10 ** (QUIET_DBFS / 20)
_QUIETEST: Final = _QUIET / 10 ** (MOST_DB / 20)
_DECAY: Final = 10 ** (-DECAY_DB_S * FRAME / RATE_HZ / 20)


class Vad:
    """WebRTC's detector, which also hears quiet voices.

    It is a gate, not a proof: loud noise passes it too.
    """

    def __init__(self, mode: int) -> None:
        """mode: 0 (lets most through) to 3 (lets least through)."""
        self._vad = webrtcvad.Vad(mode)
        self._peak = _QUIETEST  # the largest sample of late, in steps of 16 bits

    def is_speech(self, frame: NDArray[np.int16]) -> bool:
        """Judge one frame, shape (480,), mono, 16 kHz."""
        centred = frame - np.float32(frame.mean())  # a microphone's offset is no sound
        self._peak = max(float(np.abs(centred).max()), self._peak * _DECAY, _QUIETEST)
        heard = centred * max(1.0, _QUIET / self._peak)
        judged = np.clip(np.round(heard), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        return bool(self._vad.is_speech(judged.tobytes(), RATE_HZ))
