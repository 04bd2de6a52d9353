"""A ring of samples between the audio callback, which must never wait, and the service."""

import numpy as np
from numpy.typing import NDArray


class Ring:
    """Holds the newest samples for one writer and one reader, each in its own thread.

    The writer only copies and counts. A reader that falls behind by more than the capacity gets
    the newest samples that are still whole, in order, and the missing ones are counted in `lost`.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        """capacity: samples a channel that are kept for the reader."""
        # Half of the room is slack, so that a copy is not overtaken by a write in progress.
        self._samples = np.zeros((2 * capacity, channels), np.int16)
        self._capacity = capacity
        self._claimed = 0  # samples a channel whose room the writer has begun to fill
        self._written = 0
        self._read = 0
        self.lost = 0  # samples a channel that the reader never got

    def write(self, block: NDArray[np.int16]) -> None:
        """Copy a block, shape (n, channels), behind the newest sample."""
        room = len(self._samples)
        newest = block[-room:]
        self._claimed = self._written + len(block)
        at = (self._written + len(block) - len(newest)) % room
        first = min(len(newest), room - at)
        self._samples[at : at + first] = newest[:first]
        self._samples[: len(newest) - first] = newest[first:]
        self._written = self._claimed

    def read(self) -> NDArray[np.int16]:
        """Return the unread samples, at most the capacity, shape (n, channels)."""
        end = self._written
        start = max(self._read, end - self._capacity)
        samples: NDArray[np.int16] = self._samples[np.arange(start, end) % len(self._samples)]
        torn = max(0, self._claimed - len(self._samples) - start)  # overwritten while copied
        self.lost += start + min(torn, end - start) - self._read
        self._read = end
        return samples[torn:]

    def clear(self) -> None:
        """Overwrite all samples with zeros; for a reader whose writer has ended."""
        self._samples[:] = 0
        self._read = self._written
