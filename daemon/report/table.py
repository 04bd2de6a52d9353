"""Entries of the journal as comma-separated values, a line each, as they come."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TextIO

import msgspec
from msgspec.inspect import type_info

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish.history import Span
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage

KINDS: Final[Mapping[str, type[Any]]] = {
    "readings": UtteranceMessage,
    "moods": MoodMessage,
    "listening": Span,
}
# What spreadsheets take for the beginning of a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def columns(kind: str) -> list[str]:
    """The first line of a table: the fields of an entry, with a column for each probability."""
    names = [field.name for field in type_info(KINDS[kind]).fields]  # type: ignore[attr-defined]
    at = names.index("probabilities") if "probabilities" in names else len(names)
    return [*names[:at], *(EMOTIONS if at < len(names) else ()), *names[at + 1 :]]


def write(kind: str, entries: Iterable[Any], file: TextIO) -> None:
    """Write a table; lists are joined by spaces, null is empty, numbers are as in the journal.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns(kind))
    writer.writerows(_cells(msgspec.to_builtins(entry)) for entry in entries)


def _cells(entry: Mapping[str, Any]) -> Iterator[str | float]:
    for value in entry.values():
        match value:
            case dict():
                yield from value.values()
            case list():
                yield " ".join(value)
            case None:
                yield ""
            case str() if value.startswith(FORMULA):
                yield f"'{value}"
            case _:
                yield value
