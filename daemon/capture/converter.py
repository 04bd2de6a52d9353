"""Any rate and number of channels becomes what the house speaks: 16 kHz mono int16."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.errors import DeviceError
from affectd.daemon.speech.vad import RATE_HZ

RATES_HZ: Final = (4_000, 768_000)  # lowest and highest: below, no speech; above, no recorder
LOUDEST: Final = 1_000.0  # 60 dB above full scale: any mix of such samples is still a number


class Converter:
    """Mixes or picks channels and resamples as a stream, keeping state from block to block."""

    def __init__(self, rate_hz: int, channel: int | None) -> None:
        """rate_hz: of the incoming samples; channel: which one to keep, from 1; None mixes all.

        Raises ValueError for another channel, or a rate beyond RATES_HZ.
        """
        if channel is not None and channel < 1:
            raise ValueError(f"channels are counted from 1, there is none of number {channel}")
        if not is_rate(rate_hz):
            raise ValueError(f"{rate_hz} Hz is not between {RATES_HZ[0]} and {RATES_HZ[1]} Hz")
        self._channel = channel
        self._resampler = None if rate_hz == RATE_HZ else _resampler(rate_hz)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.int16]:
        """Convert a block of finite samples, shape (n, channels).

        Full scale is 1; what is louder is clipped in the end, and beyond LOUDEST before.
        """
        return self._convert(block, last=False)

    def flush(self) -> NDArray[np.int16]:
        """Return what the resampler still holds when the input has ended."""
        return self._convert(np.zeros((0, self._channel or 1), np.float32), last=True)

    def _convert(self, block: NDArray[np.float32], last: bool) -> NDArray[np.int16]:
        block = np.clip(block, -LOUDEST, LOUDEST)
        mono = block[:, self._channel - 1] if self._channel else _mix(block)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        return np.asarray(np.clip(np.rint(mono * 32768), -32768, 32767), dtype=np.int16)


def is_rate(rate_hz: int) -> bool:
    """Whether audio of this rate can be converted."""
    return RATES_HZ[0] <= rate_hz <= RATES_HZ[1]


def _mix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)


def _resampler(rate_hz: int) -> Any:
    try:
        import soxr
    except ImportError as error:
        raise DeviceError(
            f"audio at {rate_hz} Hz must be resampled to {RATE_HZ} Hz, which needs soxr: "
            "install it with `pip install soxr`"
        ) from error
    return soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ")
