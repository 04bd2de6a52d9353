"""A day, week or month of the local calendar, cut into slots in which things are counted."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import groupby
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["day", "week", "month"]

# A slot is about a pixel of a plot; each divides the quarter of an hour by which time zones differ.
SLOT_S: Final[Mapping[Kind, int]] = {"day": 60, "week": 300, "month": 900}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Slots that are told together, such as those of an hour."""

    label: str
    slots: NDArray[np.intp]  # indices

    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sum over its slots of counts, shape (slots, …)."""
        total: NDArray[np.int64] = counts[self.slots].sum(axis=0, dtype=np.int64)
        return total


@dataclass(frozen=True)
class Period:
    """Whole local days; where clocks are changed one has 23 or 25 hours, and so many slots."""

    kind: Kind
    first: date
    after: date  # the first day that does not belong to it any more
    zone: tzinfo | None  # None: that of this machine

    @classmethod
    def around(cls, kind: Kind, day: date, zone: tzinfo | None) -> "Period":
        """The day, the week from Monday (ISO 8601) or the month that a day is in."""
        if kind == "day":
            return cls(kind, day, day + timedelta(1), zone)
        if kind == "week":
            monday = day - timedelta(day.weekday())
            return cls(kind, monday, monday + timedelta(7), zone)
        first = day.replace(day=1)
        return cls(kind, first, (first + timedelta(31)).replace(day=1), zone)

    @cached_property
    def since_s(self) -> float:
        """When it begins, in seconds since 1970."""
        return datetime.combine(self.first, time(), self.zone).timestamp()

    @cached_property
    def until_s(self) -> float:
        """When it is over, in seconds since 1970."""
        return datetime.combine(self.after, time(), self.zone).timestamp()

    @property
    def slot_s(self) -> int:
        """Seconds of a slot."""
        return SLOT_S[self.kind]

    @cached_property
    def slots(self) -> int:
        """How many there are."""
        return -int(-(self.until_s - self.since_s) // self.slot_s)

    @property
    def name(self) -> str:
        """As in the name of a file: 2026-11-25, 2026-W48 or 2026-11."""
        if self.kind == "week":
            year, week, _ = self.first.isocalendar()
            return f"{year}-W{week:02}"
        return self.first.isoformat()[: 10 if self.kind == "day" else 7]

    @property
    def title(self) -> str:
        """As people say it."""
        if self.kind == "day":
            return f"{self.first:%A}, {self.first.day} {self.first:%B %Y}"
        if self.kind == "month":
            return f"{self.first:%B %Y}"
        last = self.after - timedelta(1)
        month = "" if last.month == self.first.month else f" {self.first:%B}"
        return (
            f"Week {self.first.isocalendar().week}, "
            f"{self.first.day}{month} to {last.day} {last:%B %Y}"
        )

    @cached_property
    def clock(self) -> Sequence[datetime]:
        """The local time at which each slot begins."""
        return [
            datetime.fromtimestamp(self.since_s + slot * self.slot_s, self.zone)
            for slot in range(self.slots)
        ]

    @cached_property
    def zone_names(self) -> Sequence[str]:
        """What the local time is called in it: CET, or CEST and CET."""
        names = (f"{moment.astimezone(self.zone):%Z}" for moment in self.clock)
        return list(dict.fromkeys(names))

    @cached_property
    def days(self) -> Sequence[Column]:
        """Its slots by day; the label is the day of the month, of a week with its name."""
        names = "%a " if self.kind == "week" else ""
        return _columns(
            [(f"{moment.strftime(names)}{moment.day}", moment.date()) for moment in self.clock]
        )

    @cached_property
    def hours(self) -> Sequence[Column]:
        """Its slots by hour: of a day each that it has, else the 24 hours of all days together."""
        if self.kind == "day":
            offsets = [moment.astimezone(self.zone).utcoffset() for moment in self.clock]
            return _columns(
                [(f"{m.hour:02}", offset) for m, offset in zip(self.clock, offsets, strict=True)]
            )
        hours = np.array([moment.hour for moment in self.clock])
        return [Column(f"{hour:02}", np.flatnonzero(hours == hour)) for hour in range(24)]

    @property
    def steps(self) -> Sequence[Column]:
        """In what it is followed over time: the hours of a day, else days."""
        return self.hours if self.kind == "day" else self.days

    @cached_property
    def minutes(self) -> NDArray[np.int64]:
        """Where each slot is in its day, in minutes: those passed of a day, else on the clock."""
        if self.kind == "day":
            return np.arange(self.slots) * (self.slot_s // 60)
        return np.array([moment.hour * 60 + moment.minute for moment in self.clock])


def _columns(keys: Sequence[tuple[str, Hashable]]) -> list[Column]:
    """Neighbours of one key together; the first part of a key is the label."""
    groups = groupby(range(len(keys)), key=lambda slot: keys[slot])
    return [Column(key[0], np.array(list(slots))) for key, slots in groups]
