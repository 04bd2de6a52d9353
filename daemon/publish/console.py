"""Readings as people read them in a terminal."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    Probabilities,
    UtteranceMessage,
)

logger = logging.getLogger(__name__)

BAR: Final = 24  # characters of a probability of 1
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


class Console:
    """Prints a line a reading on standard output, as long as there is somebody to read it."""

    def __init__(self, names_node: bool = False) -> None:
        """names_node: say whose reading it is, where there are several."""
        self._names_node = names_node

    def utterance(self, message: UtteranceMessage) -> None:
        """Print one reading."""
        try:
            node = f"{message.node}  " if self._names_node else ""
            print(f"{node}{line(message)}\n", end="", flush=True)
        except OSError as error:
            silence()
            logger.warning(
                "standard output cannot be written (%s); readings are published and logged on",
                error.strerror,
            )

    def mood(self, message: MoodMessage) -> None:
        """Leave it out: the reading that changed it has just been printed."""

    def speech(self, is_speaking: bool) -> None:
        """Leave it out: the reading will follow."""

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Leave it out: it is for programs."""

    def health(self, message: HealthMessage) -> None:
        """Leave it out: the service's own log tells of it."""


def silence() -> None:
    """Let all that is printed from now on vanish, where standard output cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def line(message: UtteranceMessage) -> str:
    """One reading in one line: local time, emotion, confidence, and what else it may be."""
    return f"{clock(message.time)}  {verdict(message.emotion, message.confidence, message.set)}"


def verdict(emotion: str, confidence: float, likely: Sequence[str]) -> str:
    """What was decided, how surely, and the prediction set."""
    return f"{emotion:9}  {confidence:4.0%}  of {', '.join(likely)}"


def bars(probabilities: Probabilities) -> str:
    """A line with a bar for each probability."""
    shares: Mapping[str, float] = msgspec.structs.asdict(probabilities)
    return "\n".join(f"    {label:9} {bar(p)} {p:4.0%}" for label, p in shares.items())


def bar(share: float, width: int = BAR) -> str:
    """A share of 0..1 drawn in eighths of a character, or in # where a terminal has none."""
    eighths = round(share * width * 8)
    drawn = "█" * (eighths // 8) + EIGHTHS[eighths % 8]
    try:
        drawn.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        drawn = "#" * round(share * width)
    return drawn[:width].ljust(width)


def clock(time: str) -> str:
    """The local time of day of a message's time."""
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S")
