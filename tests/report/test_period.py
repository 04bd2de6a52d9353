from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.publish.messages import iso
from affectd.daemon.report.period import Kind, Period

BERLIN = ZoneInfo("Europe/Berlin")
# Clocks there are changed at midnight, by half an hour, and at one o'clock.
ZONES = ["UTC", "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe", "America/Havana"]


def labels(kind: Kind, day: date) -> list[str]:
    return [column.label for column in Period.around(kind, day, BERLIN).hours]


@pytest.mark.parametrize(
    ("day", "hours", "since", "until"),
    [
        (date(2026, 11, 25), 24, "2026-11-24T23:00:00.000Z", "2026-11-25T23:00:00.000Z"),
        (date(2026, 3, 29), 23, "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"),
        (date(2026, 10, 25), 25, "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),
    ],
)
def test_a_day_has_the_hours_that_its_clocks_say(
    day: date, hours: int, since: str, until: str
) -> None:
    period = Period.around("day", day, BERLIN)
    assert (iso(period.since_s), iso(period.until_s)) == (since, until)
    assert (len(period.hours), period.slots) == (hours, hours * 60)


def test_where_clocks_are_changed_an_hour_is_missing_or_comes_twice() -> None:
    assert labels("day", date(2026, 3, 29))[:4] == ["00", "01", "03", "04"]
    assert labels("day", date(2026, 10, 25))[:5] == ["00", "01", "02", "02", "03"]
    assert labels("month", date(2026, 10, 25)) == [f"{hour:02}" for hour in range(24)]


def test_a_week_begins_on_monday() -> None:
    period = Period.around("week", date(2026, 1, 1), BERLIN)
    assert (period.first, period.after) == (date(2025, 12, 29), date(2026, 1, 5))
    assert [day.label for day in period.days][0::6] == ["Mon 29", "Sun 4"]


@pytest.mark.parametrize(
    ("kind", "day", "name", "title"),
    [
        ("day", date(2026, 11, 5), "2026-11-05", "Thursday, 5 November 2026"),
        ("week", date(2027, 1, 3), "2026-W53", "Week 53, 28 December to 3 January 2027"),
        ("week", date(2026, 11, 22), "2026-W47", "Week 47, 16 to 22 November 2026"),
        ("month", date(2024, 2, 29), "2024-02", "February 2024"),
    ],
)
def test_a_period_is_called_as_people_and_files_call_it(
    kind: Kind, day: date, name: str, title: str
) -> None:
    period = Period.around(kind, day, BERLIN)
    assert (period.name, period.title) == (name, title)


def test_a_month_with_a_change_of_clocks_names_both_times() -> None:
    assert Period.around("month", date(2026, 10, 1), BERLIN).zone_names == ["CEST", "CET"]
    assert Period.around("month", date(2026, 11, 1), BERLIN).zone_names == ["CET"]


def test_the_zone_of_this_machine_is_the_one_that_is_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import time

    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")  # no name of a zone
    time.tzset()
    try:
        for month in range(1, 13):
            own, named = (Period.around("month", date(2026, month, 1), z) for z in (None, BERLIN))
            assert (own.since_s, own.until_s) == (named.since_s, named.until_s)
            assert [m.hour for m in own.clock] == [m.hour for m in named.clock]
            assert own.zone_names == named.zone_names
    finally:
        monkeypatch.undo()
        time.tzset()


@given(
    st.sampled_from(["day", "week", "month"]),
    st.dates(date(1971, 1, 1), date(2037, 12, 31)),
    st.sampled_from(ZONES),
)
def test_periods_follow_each_other_and_each_slot_is_in_one_day_and_one_hour(
    kind: Kind, day: date, zone: str
) -> None:
    period = Period.around(kind, day, ZoneInfo(zone))
    assert period.first <= day < period.after
    assert Period.around(kind, period.after, ZoneInfo(zone)).since_s == period.until_s
    assert period.slots * period.slot_s == period.until_s - period.since_s
    for columns in (period.days, period.hours):
        assert sorted(slot for column in columns for slot in column.slots) == [*range(period.slots)]
    assert [moment.date() for moment in (period.clock[0], period.clock[-1])] == [
        period.first,
        period.after - timedelta(1),
    ]
