from affectd.daemon.watch.inbox import Item, Link, Notice
from affectd.daemon.watch.lines import lines
from affectd.daemon.watch.scene import Scene
from tests.publish.samples import health, utterance
from tests.watch.events import NOON_S, UP, event, level, mood_since


def told(*items: Item) -> list[str]:
    """The lines for items, without the time of day."""
    known, found = Scene(has_levels=True), []
    for item in items:
        before, known = known, known.after(item, NOON_S)
        found += lines(before, known, NOON_S)
    return [line[10:] for line in found]


def test_each_event_is_a_line() -> None:
    assert told(
        UP,
        event("health", health()),
        event("speech", "ON"),
        event("utterance", utterance()),
        mood_since("sad", "11:59:00"),
        event("status", "offline"),
        Link(False, "gone"),
        Notice("odd"),
    ) == [
        "connected to this machine",
        "kitchen  health  listening",
        "kitchen  speech  ON",
        "kitchen  reading  sad         60%  of sad, fearful",
        "kitchen  mood  sad",
        "kitchen  offline",
        "kitchen  speech  OFF",
        "not connected: gone",
        "odd",
    ]


def test_what_is_told_again_and_levels_are_left_out() -> None:
    again = [event("health", health()), mood_since("sad", "11:59:00"), level()]
    assert len(told(UP, *again, *again, UP)) == 3


def test_why_a_microphone_is_not_heard_is_told() -> None:
    assert told(UP, event("health", health("lost", reason="unplugged", warning="odd")))[1:] == [
        "kitchen  health  lost  unplugged  odd"
    ]
