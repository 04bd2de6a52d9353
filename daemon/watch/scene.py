"""What is known of each node that is watched; it changes with each item, and knows no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from affectd.daemon.publish.messages import Event
from affectd.daemon.watch.inbox import Item, Link

PAST_S: Final = 600.0  # of which moods are kept
FRESH_S: Final = 1.5  # for so long a level is that of now
CONNECTING: Final = Link(False, "connecting")


class Reading(msgspec.Struct, frozen=True):
    """What is shown of an utterance; other versions of affectd may tell more."""

    time: str
    duration_s: float
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    set: list[str]
    level_dbfs: float
    latency_ms: float
    flaws: list[str] = []


class Mood(msgspec.Struct, frozen=True):
    """What is shown of a mood."""

    mood: str
    since: str
    confidence: float


class Health(msgspec.Struct, frozen=True):
    """What is shown of a node's health."""

    listening: str
    reason: str
    device: str
    version: str
    uptime_s: float
    overflows: int = 0
    gaps: int = 0
    lost_s: float = 0.0
    journal: int = 0
    expired: int = 0
    dropped: int = 0
    warning: str = ""
    quiet_until: str | None = None
    inference_ms: float | None = None


class Level(msgspec.Struct, frozen=True):
    """How loud it is."""

    level_dbfs: float
    voiced: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """From when on there was a mood; None: it is not known."""

    at_s: float
    mood: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """What is known of one node; times are seconds since 1970 by the watcher's clock."""

    name: str
    is_here: bool = False  # it has been heard of since the connection was made
    is_offline: bool = False  # so said its broker
    level: Level | None = None
    level_at_s: float = 0.0
    is_speaking: bool = False
    speech_since_s: float | None = None  # when that changed; None if it was not seen
    reading: Reading | None = None
    mood: Mood | None = None
    marks: tuple[Mark, ...] = ()  # the oldest first
    health: Health | None = None
    health_at_s: float = 0.0

    @property
    def is_watched(self) -> bool:
        """Whether what is known of it is of now."""
        return self.is_here and not self.is_offline

    def level_now(self, now_s: float) -> Level | None:
        """The level, if it is of now."""
        return self.level if now_s - self.level_at_s <= FRESH_S else None

    def moods(self, now_s: float, cells: int) -> list[str | None]:
        """The mood in the middle of each of so many equal parts of the past, the oldest first."""
        part_s = PAST_S / cells
        middles = (now_s - PAST_S + (index + 0.5) * part_s for index in range(cells))
        return [_at(self.marks, middle_s) for middle_s in middles]


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is shown."""

    has_levels: bool  # whether levels of now come, not of the newest utterances alone
    link: Link = CONNECTING
    nodes: Mapping[str, Node] = field(default_factory=dict)
    notice: str = ""

    def after(self, item: Item, now_s: float) -> "Scene":
        """The scene after an item came; one that is not understood is noted."""
        if isinstance(item, Link):
            lost = {name: _lost(node, now_s) for name, node in self.nodes.items()}
            return replace(self, link=_clean_link(item), nodes=lost)
        if not isinstance(item, Event):
            return replace(self, notice=clean(item.text))
        name = clean(item.node)
        node = self.nodes.get(name, Node(name))
        try:
            told = _told(replace(node, is_here=True), item, now_s)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            return replace(self, notice=clean(f"{item.event} of {name} makes no sense: {error}"))
        return replace(self, nodes={**self.nodes, name: told})


def clean(text: str) -> str:
    """The same without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _clean_link(link: Link) -> Link:
    return replace(link, text=clean(link.text))


def _told(node: Node, event: Event, now_s: float) -> Node:
    """A node after its event.

    Raises MsgspecError, ValueError, OverflowError or RecursionError if it makes no sense.
    """
    message = _cleaned(msgspec.json.decode(event.message))
    match event.event:
        case "utterance":
            reading = msgspec.convert(message, Reading)
            datetime.fromisoformat(reading.time).astimezone()  # as it will be shown
            return replace(node, reading=reading)
        case "mood":
            return _in_mood(node, msgspec.convert(message, Mood), now_s)
        case "speech":
            return _speaking(node, message == "ON", now_s)
        case "health":
            return _healthy(node, msgspec.convert(message, Health), now_s)
        case "level":
            return replace(node, level=msgspec.convert(message, Level), level_at_s=now_s)
        case "status" if message == "offline":
            return replace(_lost(node, now_s), is_here=True, is_offline=True)
        case "status":
            return replace(node, is_offline=False)
    return node


def _cleaned(value: Any) -> Any:
    """The same with every text in it clean."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(one) for key, one in value.items()}
    return value


def _in_mood(node: Node, mood: Mood, now_s: float) -> Node:
    since_s = min(now_s, datetime.fromisoformat(mood.since).timestamp())
    marks = [mark for mark in node.marks if mark.at_s < since_s]
    marks.append(Mark(since_s, mood.mood))
    if node.is_offline:  # it was retained
        marks.append(Mark(now_s, None))
    return replace(node, mood=mood, marks=_recent(marks, now_s))


def _recent(marks: list[Mark], now_s: float) -> tuple[Mark, ...]:
    """The marks of the past that is shown, and the one before it, which reaches into it."""
    first = max(
        (index for index, mark in enumerate(marks) if mark.at_s <= now_s - PAST_S), default=0
    )
    return tuple(marks[first:])


def _at(marks: tuple[Mark, ...], at_s: float) -> str | None:
    return next((mark.mood for mark in reversed(marks) if mark.at_s <= at_s), None)


def _speaking(node: Node, is_speaking: bool, now_s: float) -> Node:
    if is_speaking == node.is_speaking:
        return node
    return replace(node, is_speaking=is_speaking, speech_since_s=now_s)


def _healthy(node: Node, health: Health, now_s: float) -> Node:
    is_deaf = health.listening not in ("listening", "silent")
    level = None if is_deaf else node.level
    return replace(node, health=health, health_at_s=now_s, level=level)


def _lost(node: Node, now_s: float) -> Node:
    """A node of which nothing is known from now on."""
    marks = node.marks
    if marks and marks[-1].mood is not None:
        marks = (*marks, Mark(now_s, None))
    return replace(
        node,
        is_here=False,
        is_offline=False,
        level=None,
        is_speaking=False,
        speech_since_s=None,
        marks=marks,
    )
