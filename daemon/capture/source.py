"""What the service listens to."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK_S: Final = 0.03  # of audio at a time that comes at the pace of a microphone
CALM_BLOCK_S: Final = 0.15  # while nobody speaks: to wake up costs more than to work on a frame
State = Literal["opening", "listening", "silent", "lost", "paused", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Samples in a row, as they come; perhaps none."""

    samples: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))  # (n,), mono
    skipped: int = 0  # samples at 16 kHz that were missed between the ones before and these
    is_last: bool = False  # nothing follows without a gap: what is being spoken ends here
    is_private: bool = False  # with is_last: what was being spoken must be forgotten


@dataclass(frozen=True, slots=True)
class Hearing:
    """How a source is doing, and what it has missed since it was made."""

    state: State
    reason: str = ""  # of a state that is not `listening`, for people
    device: str = ""  # what is heard, or was last
    rate_hz: int = 0  # at which it is open
    overflows: int = 0  # times the system said that it dropped audio
    gaps: int = 0  # times the stream stood still, ended or was opened again
    lost_s: float = 0.0  # not heard in all, pauses apart
    drift_ppm: float | None = None  # how much faster than this machine's clock the device runs


class Source(Protocol):
    """A microphone, or a recording that is played as if it were one."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def hearing(self) -> Hearing:
        """How it is doing now."""

    @property
    def position(self) -> int:
        """Samples at 16 kHz since the capture began until now, those included that were missed."""

    def blocks(
        self, stop: threading.Event, is_calm: Callable[[], bool] = lambda: False
    ) -> Iterator[Block]:
        """Yield blocks as they come, mono, 16 kHz, until the source ends or stop is set.

        is_calm: whether nobody seems to speak, so that what is heard may come later, and more of it
        at a time. A microphone yields at least every 0.5 s, if only an empty block.
        """

    def time_of(self, sample: int) -> float:
        """When a sample was heard, counted from 0 with what was skipped; seconds since 1970."""
