from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from affectd.daemon.publish.history import Span
from affectd.daemon.publish.messages import iso
from affectd.daemon.report import plots
from affectd.daemon.report.palette import PALETTE
from affectd.daemon.report.period import Kind, Period
from affectd.daemon.report.tally import Tally

BERLIN = ZoneInfo("Europe/Berlin")


def microphone(kind: Kind, day: date, *states: tuple[float, str]) -> Axes:
    """The drawing of a node that was in these states, each from an hour after the beginning on."""
    period = Period.around(kind, day, BERLIN)
    tally = Tally("kitchen", period, period.until_s)
    begins = [period.since_s + hour * 3600 for hour, _ in states]
    for (_, state), since_s, until_s in zip(
        states, begins, [*begins[1:], period.until_s], strict=True
    ):
        tally.listen(Span("kitchen", state, "", iso(since_s), iso(until_s)))
    tally.finish()
    axes = Figure().add_subplot()
    plots.microphone(axes, tally, plots.WIDE)
    return axes


def bars(axes: Axes, row: int) -> list[tuple[float, float]]:
    """From where to where a row is filled, in hours."""
    corners = [np.array(path.vertices) for c in axes.collections for path in c.get_paths()]
    return sorted(
        (float(found[:, 0].min()), float(found[:, 0].max()))
        for found in corners
        if abs(found[:, 1].mean() - row) < 0.3
    )


def _place(corners: NDArray[np.float64]) -> tuple[float, float]:
    """Where a bar begins, in hours, and how high it is."""
    return round(float(corners[:, 0].min()), 3), round(float(np.ptp(corners[:, 1])), 3)


@pytest.mark.parametrize(
    ("day", "hours", "labels"),
    [
        (date(2026, 3, 29), 23, ["00", "03", "06", "09", "12", "15", "18", "21", "24"]),
        (date(2026, 10, 25), 25, ["00", "03", "06", "09", "12", "15", "18", "21", "24"]),
    ],
)
def test_a_day_is_drawn_as_long_as_it_is(day: date, hours: int, labels: list[str]) -> None:
    axes = microphone("day", day, (0, "listening"))
    assert np.ravel(bars(axes, 0)) == pytest.approx([0, hours])
    assert np.array(axes.get_xlim()) == pytest.approx([0, hours])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == labels
    assert axes.get_xticks()[1] == (2 if hours == 23 else 4)


def test_a_row_of_a_week_has_a_gap_where_the_clock_leaps_and_never_leaves_the_day() -> None:
    spring = microphone("week", date(2026, 3, 29), (0, "listening"))
    assert np.ravel(bars(spring, 5)) == pytest.approx([0, 24])
    assert np.ravel(bars(spring, 6)) == pytest.approx([0, 2, 3, 24])
    autumn = microphone("week", date(2026, 10, 25), (0, "listening"))
    assert np.ravel(bars(autumn, 6)) == pytest.approx([0, 3, 2, 24])


def test_what_lasted_longest_in_a_slot_is_drawn_and_a_short_loss_is_a_notch() -> None:
    axes = microphone(
        "day",
        date(2026, 11, 25),
        *((0, "listening"), (8, "lost"), (8 + 10 / 3600, "listening"), (12, "paused")),
    )
    drawn = {
        tuple(np.round(np.asarray(collection.get_facecolor())[0, :3] * 255).astype(int)): [
            _place(np.array(path.vertices)) for path in collection.get_paths()
        ]
        for collection in axes.collections
    }
    rgb = {name: tuple(bytes.fromhex(colour.light[1:])) for name, colour in PALETTE.items()}
    assert drawn == {
        rgb["listening"]: [(0, 0.86)],
        rgb["paused"]: [(12, 0.86)],
        rgb["lost"]: [(8, 0.3)],
    }


def test_no_two_colours_are_alike_so_that_a_page_can_name_them() -> None:
    assert len({colour.light for colour in PALETTE.values()}) == len(PALETTE)
