import math
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.capture.source import State
from affectd.daemon.publish.history import History, Span
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage, iso
from affectd.daemon.report.figures import Cause, Figures, figures
from affectd.daemon.report.gather import gather
from affectd.daemon.report.period import Kind, Period
from affectd.daemon.report.tally import BINS, LABELS, STATES, Tally, unix_s
from tests.publish.samples import mood, utterance

BERLIN = ZoneInfo("Europe/Berlin")
DAY = Period.around("day", date(2026, 11, 25), BERLIN)
LATER_S = DAY.until_s + 1000


def at(clock: str, day: int = 25) -> str:
    """A local time of November 2026 as messages have it."""
    hours, minutes, seconds = map(int, clock.split(":"))
    return iso(DAY.since_s + (day - 25) * 86_400 + hours * 3600 + minutes * 60 + seconds)


def read(
    clock: str, emotion: str = "sad", confidence: float = 0.6, node: str = "kitchen", day: int = 25
) -> UtteranceMessage:
    fields = {"emotion": emotion, "confidence": confidence, "node": node, "time": at(clock, day)}
    return msgspec.structs.replace(utterance(f"{node} {day} {clock}"), **fields)


def felt(name: str, clock: str, node: str = "kitchen", day: int = 25) -> MoodMessage:
    return msgspec.structs.replace(mood(name), since=at(clock, day), node=node)


class House:
    """A journal that is filled as the service fills it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = self._begun()

    def _begun(self) -> Journal:
        return Journal(self.path, 1000, 3650)

    def restart(self) -> None:
        self.journal.close()
        self.journal = self._begun()

    def told(
        self, state: State, clock: str, reason: str = "", node: str = "kitchen", day: int = 25
    ) -> None:
        self.journal.listening(node, state, reason, at(clock, day))

    def counted(
        self, period: Period = DAY, now_s: float = LATER_S, node: str | None = None
    ) -> list[Figures]:
        with History(self.path) as history:
            return [figures for _, figures in gather(history, period, now_s, node)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "journal.sqlite")
    yield house
    house.journal.close()


def test_the_figures_of_a_small_day_are_those_counted_by_hand(house: House) -> None:
    house.told("opening", "08:00:00")
    house.told("listening", "08:00:02")
    house.journal.mood(felt("idle", "08:00:00"))
    for message in (
        read("09:10:00", "sad", 0.6),
        read("09:59:59", "unknown", 0.2),
        read("10:00:00", "happy", 0.8),
        read("10:00:30", "happy", 0.8),
    ):
        house.journal.add(message)
    house.journal.acknowledge(["kitchen 25 09:10:00"])
    house.journal.mood(felt("sad", "09:10:00"))
    house.journal.mood(felt("happy", "10:00:30"))
    house.journal.mood(felt("idle", "10:10:30"))
    house.told("lost", "11:00:00", "it was unplugged")
    house.told("lost", "11:00:40", "no such device")
    house.told("listening", "11:01:00")
    house.told("paused", "12:00:00", "paused")
    house.told("paused", "13:00:00", "paused")
    house.journal.close()
    assert house.counted() == [
        Figures(
            node="kitchen",
            period="2026-11-25",
            since="2026-11-24T23:00:00.000Z",
            until="2026-11-25T23:00:00.000Z",
            readings=4,
            unknown=1,
            unknown_share=0.25,
            emotions={"happy": 2, "sad": 1, "unknown": 1},
            confidence=(0.6 + 0.2 + 0.8 + 0.8) / 4,
            speech_s=6.0,
            mood="sad",
            mood_s={"happy": 600.0, "sad": 3030.0, "idle": 4200.0 + 2 * 3600 + 2970},
            passed_s=86_400.0,
            listening_s={"opening": 2.0, "listening": 14_338.0, "lost": 60.0, "paused": 3600.0},
            not_known_s=19 * 3600.0,
            losses=1,
            longest_loss_s=60.0,
            causes=[
                Cause("paused", "paused", 1, 3600.0),
                Cause("lost", "it was unplugged", 1, 40.0),
                Cause("lost", "no such device", 1, 20.0),
            ],
            pending=3,
            expired=0,
            by_hour=[{}] * 9 + [{"sad": 1, "unknown": 1}, {"happy": 2}] + [{}] * 13,
            hours=[f"{hour:02}" for hour in range(24)],
        )
    ]


def test_what_reaches_over_the_ends_counts_within_them(house: House) -> None:
    house.told("listening", "22:00:00", day=24)
    house.journal.mood(felt("calm", "23:00:00", day=24))
    house.journal.add(read("23:59:59", day=24))
    house.journal.add(read("00:00:00"))
    house.journal.add(read("23:59:59"))
    house.journal.add(read("00:00:00", day=26))
    house.told("listening", "05:00:00", day=26)
    house.journal.close()
    (told,) = house.counted()
    assert told.readings == 2
    assert told.listening_s == {"listening": 86_400.0}
    assert told.mood_s == {"calm": 86_400.0}


def test_a_mood_does_not_last_while_the_service_is_off(house: House) -> None:
    house.told("listening", "08:00:00")
    house.journal.mood(felt("angry", "09:00:00"))
    house.told("listening", "10:00:00")
    house.restart()
    house.journal.mood(felt("idle", "20:00:00"))
    house.told("listening", "20:00:00")
    house.told("listening", "21:00:00")
    house.journal.close()
    (told,) = house.counted()
    assert told.mood_s == {"angry": 3600.0, "idle": 3600.0}
    assert told.not_known_s == 21 * 3600


def test_of_a_day_that_is_not_over_only_what_has_passed_is_missed(house: House) -> None:
    house.told("listening", "08:00:00")
    house.told("listening", "09:00:00")
    house.journal.close()
    (told,) = house.counted(now_s=unix_s(at("10:00:00")))
    assert (told.passed_s, told.not_known_s) == (36_000.0, 9 * 3600.0)
    (told,) = house.counted(now_s=DAY.since_s - 1, node="kitchen")
    assert (told.passed_s, told.not_known_s, told.listening_s) == (0.0, 0.0, {})


def test_each_node_is_counted_by_itself(house: House) -> None:
    for node, count in (("office", 1), ("kitchen", 2)):
        house.told("listening", "08:00:00", node=node)
        house.journal.mood(felt("calm", "08:00:00", node))
        for minute in range(count):
            house.journal.add(read(f"09:0{minute}:00", node=node))
    house.journal.close()
    assert [(told.node, told.readings, told.pending) for told in house.counted()] == [
        ("kitchen", 2, 2),
        ("office", 1, 1),
    ]
    assert [told.node for told in house.counted(node="office")] == ["office"]
    assert [told.readings for told in house.counted(node="cellar")] == [0]


def test_expired_readings_are_told_by_node(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(Journal(path, 2, 1)) as journal:
        for minute in range(5):
            journal.add(read(f"09:0{minute}:00"))
    with History(path) as history:
        ((_, told),) = gather(history, DAY, LATER_S)
    assert (told.readings, told.pending, told.expired) == (2, 2, 3)


@pytest.mark.parametrize(
    ("day", "hours", "index"), [(date(2026, 3, 29), 23, 2), (date(2026, 10, 25), 25, 3)]
)
def test_where_clocks_are_changed_a_reading_is_in_its_own_hour(
    day: date, hours: int, index: int
) -> None:
    period = Period.around("day", day, BERLIN)
    tally = Tally("kitchen", period, period.until_s)
    # The hour after the clocks were changed: the third in spring, the second 02 in autumn.
    when_s = unix_s(f"{day}T01:30:00Z")
    tally.read(msgspec.structs.replace(utterance(), time=iso(when_s)))
    tally.listen(Span("kitchen", "listening", "", iso(period.since_s), iso(period.until_s)))
    tally.finish()
    told = figures(tally, 0, 0)
    assert [hour for hour, counts in enumerate(told.by_hour) if counts] == [index]
    assert told.listening_s == {"listening": hours * 3600.0}


def test_a_clock_that_was_set_back_counts_no_second_twice(house: House) -> None:
    house.told("listening", "10:00:00")
    house.told("silent", "11:00:00")
    house.told("listening", "10:30:00")
    house.told("listening", "10:50:00")
    house.journal.close()
    (told,) = house.counted()
    assert sum(told.listening_s.values()) + told.not_known_s == pytest.approx(86_400)


def test_a_clock_that_was_far_ahead_for_a_while_hides_nothing(house: House) -> None:
    house.told("listening", "10:00:00")
    house.told("listening", "10:00:00", day=300)
    house.told("lost", "11:00:00", "gone")
    house.told("listening", "11:00:05")
    house.told("listening", "12:00:00")
    house.journal.close()
    (told,) = house.counted()
    assert told.listening_s["lost"] == 5.0


def test_entries_with_a_time_or_a_state_that_is_none_are_left_out_and_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    import sqlite3

    house.told("listening", "10:00:00")
    house.told("silent", "11:00:00")
    house.told("listening", "12:00:00")
    house.told("listening", "13:00:00")
    house.journal.add(read("10:00:00"))
    house.journal.close()
    with closing(sqlite3.connect(house.path)) as other, other:
        other.execute("UPDATE listening SET state = 'dancing' WHERE state = 'silent'")
        other.execute(
            "UPDATE readings SET payload = replace(payload, ?, ?)",
            (at("10:00:00"), "2026-11-25T09:61:00.000Z"),
        )
    (told,) = house.counted()
    assert (told.readings, told.listening_s) == (0, {"listening": 7200.0})
    assert caplog.text.count("1 entries of the journal have no valid time or state") == 2


moments = st.integers(-40_000, 130_000)


@given(
    st.sampled_from(["day", "week", "month"]),
    st.lists(st.tuples(moments, moments, st.sampled_from(STATES)), max_size=20),
    st.lists(st.tuples(moments, st.sampled_from(["calm", "sad", "idle"])), max_size=10),
    st.lists(st.tuples(moments, st.sampled_from(LABELS), st.floats(0, 1)), max_size=30),
    st.integers(-10, 100_000),
)
def test_whatever_is_entered_shares_sum_to_one_and_uptime_to_what_has_passed(
    kind: Kind,
    states: list[tuple[int, int, str]],
    moods: list[tuple[int, str]],
    readings: list[tuple[int, str, float]],
    passed_s: int,
) -> None:
    period = Period.around(kind, date(2026, 10, 25), BERLIN)
    tally = Tally("kitchen", period, period.since_s + passed_s)
    for one, other, state in states:
        since, until = (iso(period.since_s + when_s) for when_s in sorted((one, other)))
        tally.listen(Span("kitchen", state, "", since, until))
    for when_s, name in moods:
        tally.feel(msgspec.structs.replace(mood(name), since=iso(period.since_s + when_s)))
    for when_s, label, confidence in readings:
        fields = {"emotion": label, "confidence": confidence}
        time = iso(period.since_s + when_s)
        tally.read(msgspec.structs.replace(utterance(), time=time, **fields))
    tally.finish()
    told = figures(tally, 0, 0)
    assert sum(told.listening_s.values()) + told.not_known_s == pytest.approx(told.passed_s)
    assert sum(told.mood_s.values()) <= sum(told.listening_s.values()) + 0.01
    assert (tally.listening_s >= -1e-6).all()
    assert (tally.listening_s.sum(axis=1) <= period.slot_s + 1e-6).all()
    within = [
        label for when_s, label, _ in readings if 0 <= when_s < period.until_s - period.since_s
    ]
    assert told.readings == len(within) == sum(told.emotions.values())
    assert sum(sum(hour.values()) for hour in told.by_hour) == len(within)
    assert tally.confidence.sum() == len(within)
    assert (
        told.longest_loss_s
        <= sum(told.listening_s.get(state, 0.0) for state in ("lost", "failed")) + 0.01
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_quartiles_are_within_a_bin_of_those_of_the_values(levels: list[float]) -> None:
    from affectd.daemon.report.plots import quartiles

    counts = np.bincount([min(int(level * BINS), BINS - 1) for level in levels], minlength=BINS)
    exact = np.quantile(levels, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert np.abs(np.array(quartiles(counts)) - exact).max() <= 1 / BINS + 1e-9


def test_nothing_has_no_quartiles() -> None:
    from affectd.daemon.report.plots import quartiles

    assert all(map(math.isnan, quartiles(np.zeros(BINS, np.int64))))
