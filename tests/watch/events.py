"""What sources bring, for tests."""

from collections.abc import Iterable

import msgspec

from affectd.daemon.publish.messages import Event, LevelMessage
from affectd.daemon.watch.inbox import Item, Link
from affectd.daemon.watch.scene import Scene
from tests.publish.samples import mood

UP = Link(True, "this machine")
# 2026-01-01T12:00:00Z, when the moods of tests begin.
NOON_S = 1767268800.0


def event(name: str, message: object, node: str = "kitchen") -> Event:
    return Event(name, node, msgspec.Raw(msgspec.json.encode(message)))


def level(dbfs: float = -30.0, voiced: bool = True, node: str = "kitchen") -> Event:
    return event("level", LevelMessage(node, dbfs, voiced), node)


def mood_since(name: str, time: str, node: str = "kitchen") -> Event:
    since = f"2026-01-01T{time}.000Z"
    return event("mood", msgspec.structs.replace(mood(name), since=since), node)


def scene(items: Iterable[Item], now_s: float = NOON_S, has_levels: bool = True) -> Scene:
    """What is known when items have come."""
    known = Scene(has_levels)
    for item in items:
        known = known.after(item, now_s)
    return known
