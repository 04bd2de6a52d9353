import io

import pytest
from rich.console import Console

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.watch.inbox import Item, Link
from affectd.daemon.watch.picture import picture
from affectd.daemon.watch.scene import Scene
from tests.publish.samples import health, utterance
from tests.watch.events import NOON_S, UP, event, level, mood_since, scene

ALL: list[Item] = [
    UP,
    event("health", health()),
    event("speech", "ON"),
    mood_since("neutral", "11:52:00"),
    mood_since("sad", "11:56:00"),
    event("utterance", utterance()),
    level(-35.0),
]


def drawn(known: Scene, width: int = 80, height: int = 24, now_s: float = NOON_S) -> list[str]:
    """The rows of a picture, without colours."""
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(picture(known, now_s, height))
    return console.export_text().splitlines()


def nodes(count: int) -> list[Item]:
    """So many nodes, of which each has told all."""
    items: list[Item] = [UP]
    for room in (f"room-{number}" for number in range(count)):
        items += [
            event("health", health(), room),
            mood_since("sad", "11:56:00", room),
            level(-35.0, node=room),
        ]
    return items


def test_one_node_is_shown_with_all_that_it_told() -> None:
    rows = drawn(scene(ALL))
    text = "\n".join(rows)
    assert "this machine" in rows[0]
    assert "kitchen: listening, someone is speaking" in rows[1]
    for label in (*EMOTIONS, "-35 dBFS", "voiced", "sad, for 4 min", "60%", "Yeti", "1.2.3"):
        assert label in text
    assert "overflows 0, gaps 0" in text
    assert "latency 4.0 ms, networks 2.5 ms" in text


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    rows = drawn(scene(ALL))
    lengths = {
        label: next(row for row in rows if f"   {label} " in row).count("█")
        for label in ("neutral", "sad", "fearful")
    }
    assert lengths["neutral"] * 10 < lengths["sad"]
    assert lengths["neutral"] < lengths["fearful"] < lengths["sad"]
    meter = next(row for row in rows if "dBFS" in row)
    assert meter.count("█") == pytest.approx(35 / 70 * 56, abs=2)


def test_the_strip_names_each_mood_where_it_began() -> None:
    strip = next(row for row in drawn(scene(ALL)) if "10 min" in row)
    assert strip.index("neutral") < strip.index("sad")
    width = 80 - 4 - 12
    assert strip.index("▏neutral") == pytest.approx(14 + width * 0.2, abs=2)
    assert strip.index("▏sad") == pytest.approx(14 + width * 0.6, abs=2)


@pytest.mark.parametrize("width", [1, 20, 44, 80, 300])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_picture_fits_any_terminal(width: int, height: int, count: int) -> None:
    rows = drawn(scene(nodes(count)), width, height)
    assert len(rows) <= max(height, 6)
    assert all(len(row) <= width for row in rows)


def test_several_nodes_are_shown_in_short_where_there_is_no_room_for_all() -> None:
    rows = "\n".join(drawn(scene(nodes(3))))
    for node in ("room-0", "room-1", "room-2"):
        assert f"{node}: listening" in rows
    assert "surprised" not in rows
    assert "\n".join(drawn(scene(nodes(3)), height=100)).count("surprised") == 3


def test_nodes_that_have_no_room_are_counted() -> None:
    text = "\n".join(drawn(scene(nodes(8))))
    assert "3 more node(s) have no room here: --node NAME shows one" in text


def test_nodes_that_are_offline_come_last() -> None:
    came = [*nodes(2), event("status", "offline", "room-0")]
    rows = [row for row in drawn(scene(came)) if "room-" in row]
    assert "room-1: listening" in rows[0]
    assert "room-0: offline" in rows[1]


def test_a_lost_connection_is_shown_with_its_reason() -> None:
    rows = drawn(scene([*ALL, Link(False, "the affectd here has gone away")]))
    assert "NOT CONNECTED: the affectd here has gone away" in rows[0]
    assert "kitchen: not heard of any more" in rows[1]
    assert "not known now" in "\n".join(rows)
    assert "not heard now" in "\n".join(rows)


def test_over_mqtt_the_level_is_said_to_be_that_of_the_newest_utterance() -> None:
    rows = drawn(scene(ALL[:-1], has_levels=False))
    assert "levels are of the newest utterances" in rows[0]
    assert "last level" in rows[2]
    assert "-30 dBFS" in rows[2]


def test_the_reason_of_a_microphone_that_is_not_heard_is_shown() -> None:
    lost = health("lost", reason="no microphone is called Yeti", warning="all are angry")
    text = "\n".join(drawn(scene([UP, event("health", lost)])))
    assert "kitchen: lost" in text
    assert "Yeti (no microphone is called Yeti)" in text
    assert "WARNING" in text


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    text = "\n".join(drawn(scene([UP, event("health", health(device="[red]Yeti[/red]"))])))
    assert "[red]Yeti[/red]" in text


def test_time_that_passes_is_counted() -> None:
    text = "\n".join(drawn(scene(ALL), now_s=NOON_S + 3600))
    assert "someone is speaking, for 1 h" in text
    assert "up 1 h" in text
