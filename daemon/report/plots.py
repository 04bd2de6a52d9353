"""What was counted of a node, drawn by matplotlib; nothing is drawn on a screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from affectd.daemon.report.palette import PALETTE
from affectd.daemon.report.period import Column, Period
from affectd.daemon.report.tally import BINS, LABELS, LOST, MOODS, STATES, Tally

WIDE, NARROW = 900, 312  # of a drawing, in units that are pixels of a page


@dataclass(frozen=True, slots=True)
class Plot:
    """One way to look at what was counted."""

    name: str
    title: str
    explained: str
    draw: Callable[[Axes, Tally, int], None]  # the last: how many units wide
    height: Callable[[Period], int]  # in units
    shown: Callable[[Tally], NDArray[Any]]  # what is counted; drawn where that is not all 0
    is_small: bool = False  # never wide, as some fit beside each other


def moods(axes: Axes, tally: Tally, width: int) -> None:
    """Draw which mood lasted longest in each slot, a row a day."""
    _rows(axes, tally.period, tally.mood_s, MOODS, width)


def microphone(axes: Axes, tally: Tally, width: int) -> None:
    """Draw how the node listened, a row a day; where it was lost for a moment is a notch."""
    _rows(axes, tally.period, tally.listening_s, STATES, width)
    lost = [STATES.index(state) for state in sorted(LOST)]
    notches = np.where(tally.listening_s[:, lost].sum(axis=1) > 0, 0, -1)
    _stretches(axes, tally.period, notches, ("lost",), 0.3)


def emotions(axes: Axes, tally: Tally, width: int) -> None:
    """Draw of how many readings of each hour an emotion was the likeliest."""
    hours = tally.period.hours
    counts = np.array([hour.total(tally.readings) for hour in hours])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    below = np.zeros(len(hours))
    for label, share in zip(LABELS, shares.T, strict=True):
        axes.bar(range(len(hours)), share, 0.88, below, color=PALETTE[label].light)
        below += share
    axes.set(ylim=(0, 1))
    _percent(axes)
    _steps(axes, hours, width)


def readings(axes: Axes, tally: Tally, width: int) -> None:
    """Draw how many readings there were over time."""
    steps = tally.period.steps
    counts = [int(step.total(tally.readings).sum()) for step in steps]
    axes.bar(range(len(steps)), counts, 0.88, color=PALETTE["accent"].light)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(ylim=(0, max(1, *counts) * 1.05))
    axes.yaxis.grid(True)
    _steps(axes, steps, width)


def confidence(axes: Axes, tally: Tally, width: int) -> None:
    """Draw the median of the confidence over time, and the half of the readings about it."""
    steps = tally.period.steps
    levels = np.array([quartiles(step.total(tally.confidence).sum(axis=0)) for step in steps])
    x = np.arange(len(steps))
    colour = PALETTE["accent"].light
    low, median, high = levels.T
    axes.bar(x, np.nan_to_num(high - low), 0.7, np.nan_to_num(low), color=colour, alpha=0.25)
    axes.plot(x, median, color=colour, marker="o", markersize=3.5, linewidth=1.4)
    axes.set(ylim=(0, 1))
    axes.yaxis.grid(True)
    _percent(axes)
    _steps(axes, steps, width)


def distribution(axes: Axes, tally: Tally, _width: int) -> None:
    """Draw how many readings had which confidence, and which of them are unknown."""
    known, unknown = tally.confidence.sum(axis=0)
    x = (np.arange(BINS) + 0.5) / BINS
    axes.bar(x, known, 0.88 / BINS, color=PALETTE["accent"].light)
    axes.bar(x, unknown, 0.88 / BINS, known, color=PALETTE["unknown"].light)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlim=(0, 1), ylim=(0, max(1, (known + unknown).max()) * 1.05))
    axes.yaxis.grid(True)
    axes.set_xticks([0.25, 0.5, 0.75, 1], ["25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(length=0)


PLOTS: Final = (
    Plot(
        "moods",
        "Moods",
        "The mood that lasted longest in each moment; nothing is drawn where the node did not run.",
        moods,
        lambda period: _row_heights(period, 44),
        lambda tally: tally.mood_s,
    ),
    Plot(
        "microphone",
        "Microphone",
        "Whether it could hear. A notch is a loss too short to be seen; nothing is drawn where it "
        "is not known.",
        microphone,
        lambda period: _row_heights(period, 30),
        lambda tally: tally.listening_s,
    ),
    Plot(
        "emotions",
        "Emotions by hour",
        "Of the readings in each hour, how many were which emotion; few readings say little.",
        emotions,
        lambda _: 240,
        lambda tally: tally.readings,
    ),
    Plot(
        "readings",
        "Readings",
        "How many there were.",
        readings,
        lambda _: 190,
        lambda tally: tally.readings,
        is_small=True,
    ),
    Plot(
        "confidence",
        "Confidence over time",
        "The line is the median of all readings; half of them lie in the bars.",
        confidence,
        lambda _: 190,
        lambda tally: tally.readings,
        is_small=True,
    ),
    Plot(
        "distribution",
        "Confidence of all readings",
        "In grey those that are unknown.",
        distribution,
        lambda _: 190,
        lambda tally: tally.readings,
        is_small=True,
    ),
)


def drawable(tally: Tally) -> list[Plot]:
    """The plots that there is something to draw in."""
    return [plot for plot in PLOTS if plot.shown(tally).any()]


def shown_names(tally: Tally) -> list[str]:
    """The emotions, moods and states that are drawn, in the order of the legend."""
    counted = ((LABELS, tally.readings), (MOODS, tally.mood_s), (STATES, tally.listening_s))
    return [
        name
        for names, counts in counted
        for name, n in zip(names, counts.sum(axis=0), strict=True)
        if n
    ]


def quartiles(counts: NDArray[np.int64]) -> list[float]:
    """The quartiles of what was counted in BINS equal parts of 0..1; NaN if nothing was.

    Within a part it is taken to lie evenly.
    """
    total = int(counts.sum())
    if not total:
        return [float("nan")] * 3
    upto = counts.cumsum()
    wanted = np.array([0.25, 0.5, 0.75]) * total
    part = np.searchsorted(upto, wanted)
    within = (wanted - (upto - counts)[part]) / counts[part]
    return [float(level) for level in (part + within) / BINS]


def _rows(
    axes: Axes, period: Period, seconds: NDArray[np.float64], names: Sequence[str], width: int
) -> None:
    """Draw what took most of each slot, a row a day from top to bottom."""
    most = np.where(seconds.sum(axis=1) > 0, seconds.argmax(axis=1), -1)
    _stretches(axes, period, most, names, 0.86)
    days = period.days
    every = 6 if width < WIDE else 3
    ticks = [
        (period.minutes[hour.slots[0]] / 60, hour.label)
        for hour in period.hours
        if int(hour.label) % every == 0
    ]
    end = (period.minutes.max() + period.slot_s / 60) / 60
    axes.set(xlim=(0, end), ylim=(len(days) - 0.5, -0.5))
    axes.set_xticks(*zip(*ticks, (end, "24"), strict=True))
    axes.set_yticks(range(len(days)), ["" if period.kind == "day" else day.label for day in days])
    axes.tick_params(length=0)
    axes.xaxis.grid(True)
    axes.spines[["left", "bottom"]].set_visible(False)


def _stretches(
    axes: Axes, period: Period, which: NDArray[np.int64], names: Sequence[str], height: float
) -> None:
    """Draw slots of one kind as one bar; which: index of a name for each slot, -1 for none."""
    minutes, slot_h = period.minutes, period.slot_s / 3600
    drawn: dict[str, list[list[tuple[float, float]]]] = {}
    for row, day in enumerate(period.days):
        # Where the clock leaps, a bar ends.
        for (kind, _), group in groupby(
            day.slots, key=lambda slot: (which[slot], minutes[slot] * 60 - slot * period.slot_s)
        ):
            slots = list(group)
            left, low = minutes[slots[0]] / 60, row + 0.43
            right, high = left + len(slots) * slot_h, low - height
            corners = [(left, low), (right, low), (right, high), (left, high)]
            if kind >= 0:
                drawn.setdefault(names[kind], []).append(corners)
    for name, bars in drawn.items():
        axes.add_collection(PolyCollection(bars, facecolors=PALETTE[name].light, linewidths=0))


def _steps(axes: Axes, columns: Sequence[Column], width: int) -> None:
    """Name as many columns as there is room for."""
    labels = [column.label for column in columns]
    room = (width - 50) / len(labels)
    needed = 7 * max(map(len, labels)) + 8
    every = next(every for every in (1, 2, 3, 6, 12, 24) if every * room >= needed)
    axes.set_xticks(range(0, len(labels), every), labels[::every])
    axes.set(xlim=(-0.6, len(labels) - 0.4))
    axes.tick_params(length=0)


def _percent(axes: Axes) -> None:
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])


def _row_heights(period: Period, one: int) -> int:
    rows = {"day": one, "week": 24, "month": 14}[period.kind]
    return 26 + rows * len(period.days)
