"""What sources, keys and signals hand to the one thread that shows it."""

import queue
import time
from dataclasses import dataclass
from typing import Final, Protocol

from affectd.daemon.publish.messages import Event

MOST: Final = 1000  # items that wait; a source that is faster must wait too
FULL_S: Final = 0.05  # between two looks whether there is room


@dataclass(frozen=True, slots=True)
class Link:
    """Whether there is a connection to what is watched."""

    is_up: bool
    text: str  # what it is connected to, or why it is not, for people


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know."""

    text: str


Item = Event | Link | Notice


class Source(Protocol):
    """Where events come from, in a thread of its own."""

    def start(self) -> None:
        """Begin to connect, and to put into the inbox what comes."""

    def stop(self) -> None:
        """End."""


class EndError(Exception):
    """Nobody wants to watch any more."""


class Inbox:
    """A queue with one reader."""

    def __init__(self) -> None:
        # A SimpleQueue alone may be put into by a signal handler.
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._is_ended = False

    def put(self, item: Item) -> None:
        """Add an item, when there is room; after the end, drop it."""
        while not self._is_ended and self._items.qsize() >= MOST:
            time.sleep(FULL_S)
        if not self._is_ended:
            self._items.put(item)

    def end(self) -> None:
        """Let the reader end at once; may be called by a signal handler."""
        self._is_ended = True
        self._items.put(None)  # wakes it

    def get(self, timeout_s: float) -> Item | None:
        """The next item, or None if none comes in time. Raises EndError."""
        try:
            item = self._items.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            item = None
        if self._is_ended:
            raise EndError
        return item
