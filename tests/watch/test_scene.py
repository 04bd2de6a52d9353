import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.publish.messages import Event
from affectd.daemon.watch.inbox import Item, Link, Notice
from affectd.daemon.watch.scene import FRESH_S, PAST_S, Scene, clean
from tests.publish.samples import health, utterance
from tests.watch.events import NOON_S, UP, event, level, mood_since, scene


def test_a_node_is_known_from_its_first_event_on() -> None:
    known = scene([UP, event("speech", "ON", "study"), event("speech", "OFF")])
    assert set(known.nodes) == {"study", "kitchen"}
    assert known.nodes["study"].is_speaking
    assert not known.nodes["kitchen"].is_speaking


def test_the_newest_reading_is_kept() -> None:
    newest = msgspec.structs.replace(utterance("b"), emotion="happy", confidence=0.7)
    known = scene([UP, event("utterance", utterance("a")), event("utterance", newest)])
    reading = known.nodes["kitchen"].reading
    assert reading is not None
    assert (reading.emotion, reading.confidence) == ("happy", 0.7)
    assert reading.probabilities["sad"] == 0.6


def test_a_level_is_of_now_for_a_moment_only() -> None:
    node = scene([UP, level(-30)]).nodes["kitchen"]
    heard = node.level_now(NOON_S + FRESH_S)
    assert heard is not None
    assert heard.level_dbfs == -30
    assert node.level_now(NOON_S + FRESH_S + 0.1) is None


@pytest.mark.parametrize("state", ["paused", "lost", "failed", "opening"])
def test_what_is_not_heard_has_no_level(state: str) -> None:
    known = scene([UP, level(), event("health", health(state))])  # type: ignore[arg-type]
    assert known.nodes["kitchen"].level_now(NOON_S) is None


def test_moods_of_the_past_are_told_by_when_they_began() -> None:
    known = scene([UP, mood_since("sad", "11:55:00"), mood_since("happy", "11:58:00")], NOON_S)
    cells = known.nodes["kitchen"].moods(NOON_S, 10)  # a minute each
    assert cells == [None] * 5 + ["sad"] * 3 + ["happy"] * 2


def test_a_mood_that_is_told_again_goes_on() -> None:
    once = scene([UP, mood_since("sad", "11:55:00")])
    twice = once.after(mood_since("sad", "11:55:00"), NOON_S + 60)
    assert twice.nodes["kitchen"].marks == once.nodes["kitchen"].marks


def test_moods_older_than_what_is_shown_are_forgotten() -> None:
    known = scene([UP])
    for hour in range(10):
        at_s = NOON_S - 36_000 + 3600 * hour
        known = known.after(mood_since(("sad", "happy")[hour % 2], f"{2 + hour:02}:00:00"), at_s)
    node = known.after(mood_since("calm", "11:59:00"), NOON_S).nodes["kitchen"]
    assert [mark.mood for mark in node.marks] == ["happy", "calm"]
    assert node.moods(NOON_S, 10) == ["happy"] * 9 + ["calm"]


def test_a_clock_that_is_ahead_puts_no_mood_into_the_future() -> None:
    node = scene([UP, mood_since("sad", "13:00:00")]).nodes["kitchen"]
    assert node.marks[-1].at_s == NOON_S


def test_while_there_is_no_connection_nothing_is_claimed() -> None:
    gone = Link(False, "gone")
    came: list[Item] = [UP, level(), event("speech", "ON"), mood_since("sad", "11:55:00")]
    known = scene(came).after(gone, NOON_S)
    node = known.nodes["kitchen"]
    assert known.link == gone
    assert not node.is_watched
    assert not node.is_speaking
    assert node.level_now(NOON_S) is None
    assert node.moods(NOON_S + 300, 10) == ["sad"] * 5 + [None] * 5
    assert not known.after(UP, NOON_S).nodes["kitchen"].is_watched
    assert known.after(event("speech", "OFF"), NOON_S).nodes["kitchen"].is_watched


def test_a_mood_that_held_over_a_gap_fills_it() -> None:
    known = scene([UP, mood_since("sad", "11:55:00"), Link(False, "gone"), UP])
    node = known.after(mood_since("sad", "11:55:00"), NOON_S + 60).nodes["kitchen"]
    assert None not in [mark.mood for mark in node.marks]


@pytest.mark.parametrize("order", [1, -1])
def test_a_node_whose_broker_says_offline_is_not_watched_whatever_comes_first(order: int) -> None:
    retained = [event("status", "offline"), mood_since("sad", "11:55:00")]
    known = scene([UP, *retained[::order]])
    node = known.nodes["kitchen"]
    assert node.is_offline
    assert not node.is_watched
    assert node.moods(NOON_S + 60, 10)[-1] is None
    assert known.after(event("status", "online"), NOON_S).nodes["kitchen"].is_watched


def test_what_newer_versions_tell_besides_is_let_be() -> None:
    more = msgspec.structs.asdict(health()) | {"humour": 0.9}
    known = scene([UP, event("health", more), event("humour", 0.9)])
    assert known.nodes["kitchen"].health is not None
    assert known.notice == ""


@pytest.mark.parametrize(
    "odd",
    [
        event("mood", {"mood": 3}),
        event("mood", {"mood": "sad", "since": "yesterday", "confidence": 0.5}),
        event("utterance", "ON"),
        event("utterance", msgspec.structs.replace(utterance("a"), time="soon")),
        event("utterance", msgspec.structs.replace(utterance("a"), time="0001-01-01T00:00:00")),
        Event("utterance", "kitchen", msgspec.Raw(b"[" * 5000 + b"]" * 5000)),
        Event("health", "kitchen", msgspec.Raw(b"{")),
    ],
)
def test_what_makes_no_sense_is_noted_and_changes_nothing_else(odd: Event) -> None:
    before = scene([UP, mood_since("sad", "11:55:00")])
    after = before.after(odd, NOON_S)
    assert f"{odd.event} of kitchen makes no sense" in after.notice
    assert after.nodes == before.nodes


def test_nothing_that_comes_can_move_the_cursor() -> None:
    evil = "\x1b[2J\x9b31m\r\n\x07"
    known = scene(
        [
            Link(True, evil),
            Notice(evil),
            event("health", health(device=evil, reason=evil), node=f"k{evil}"),
        ]
    )
    (node,) = known.nodes.values()
    assert node.health is not None
    for text in (known.link.text, known.notice, node.name, node.health.device, node.health.reason):
        assert text.isprintable()


@given(st.text())
def test_clean_text_is_printable_and_as_long(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) == len(text)


@given(st.floats(-1e4, 1e4), st.integers(1, 500))
def test_there_is_a_mood_or_none_for_each_cell(later_s: float, cells: int) -> None:
    node = scene([UP, mood_since("sad", "11:55:00")]).nodes["kitchen"]
    moods = node.moods(NOON_S + later_s, cells)
    assert len(moods) == cells
    assert moods == sorted(moods, key=lambda mood: mood is not None)
    if later_s >= PAST_S:
        assert set(moods) == {"sad"}


def test_a_scene_begins_without_a_connection() -> None:
    assert not Scene(has_levels=True).link.is_up
