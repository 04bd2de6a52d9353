"""What the service listens to."""

import threading
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """A microphone, or a recording that is played as if it were one."""

    @property
    def name(self) -> str:
        """What people call it."""

    def blocks(self, stop: threading.Event) -> Iterator[NDArray[np.int16]]:
        """Yield samples as they come, mono, 16 kHz, until the source ends or stop is set."""

    def time_of(self, sample: int) -> float:
        """When a yielded sample, counted from 0, was heard; seconds since 1970."""
