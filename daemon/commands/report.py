"""`affectd report`: a day, week or month of the journal as a page, picture, table or figures."""

import argparse
import io
import logging
import os
import re
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from affectd import __version__
from affectd.daemon import configuration
from affectd.daemon.errors import ReportError, SettingsError
from affectd.daemon.publish.history import History
from affectd.daemon.publish.messages import iso
from affectd.daemon.report import table
from affectd.daemon.report.gather import gather
from affectd.daemon.report.output import replaced
from affectd.daemon.report.period import Kind, Period
from affectd.daemon.settings import journal_to_read

T = TypeVar("T")

STANDARD_OUTPUT: Final = Path("-")
MAKER: Final = "affectd report"
YEARS: Final = range(1971, 2999)
MOST_DRAWN: Final = 20  # nodes in a picture: more could not be looked at
TOLD_EVERY_S: Final = 0.25


def run(args: argparse.Namespace) -> int:
    """Write the report. Raises JournalError, ReportError or SettingsError."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    form = next((form for form in ("png", "csv", "json") if getattr(args, form)), "html")
    period = _period(args, datetime.now().astimezone().date())
    to = args.to or Path("-" if form == "json" else f"affectd-{period.name}.{form}")
    if args.open and (form != "html" or to == STANDARD_OUTPUT):
        raise SettingsError("--open shows a page; leave out --png, --csv, --json and --to -")
    write, mark = FORMS[form]
    with History(_journal(args)) as history:
        if to == STANDARD_OUTPUT:
            write(history, period, args, sys.stdout.buffer)
            return 0
        with replaced(to, mark(args)) as file:
            write(history, period, args, file)
    print(to)
    if args.open:
        webbrowser.open(to.absolute().as_uri())
    return 0


def _journal(args: argparse.Namespace) -> Path:
    if args.journal is not None:
        return Path(args.journal)
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    return journal_to_read(settings.journal, os.environ)


def _period(args: argparse.Namespace, today: date) -> Period:
    kinds: tuple[Kind, ...] = ("day", "week", "month")
    kind: Kind = next((kind for kind in kinds if getattr(args, kind) is not None), "day")
    text = getattr(args, kind)
    return Period.around(kind, _day("today" if text is None else text, today), zone=None)


def _day(text: str, today: date) -> date:
    """A day that a person names, also by its week or month. Raises SettingsError."""
    if text in ("today", "yesterday"):
        return today - timedelta(text == "yesterday")
    try:
        day = date.fromisoformat(f"{text}-01" if re.fullmatch(r"\d{4}-\d\d", text) else text)
    except ValueError:
        day = date.min
    if day.year not in YEARS:
        raise SettingsError(
            f"{text} is no date of {YEARS[0]} to {YEARS[-1]}; write today, yesterday, or one such "
            f"as {today}, {today:%G-W%V} or {today:%Y-%m}"
        )
    return day


def _page(history: History, period: Period, args: argparse.Namespace, file: BinaryIO) -> None:
    with _drawing():
        from affectd.daemon.report.page import page
    found = gather(history, period, time.time(), args.node, _watched)
    made = f"{datetime.now():%d %B %Y, %H:%M}".lstrip("0")
    file.write(page(period, found, MAKER, made, __version__).encode())


def _picture(history: History, period: Period, args: argparse.Namespace, file: BinaryIO) -> None:
    with _drawing():
        from affectd.daemon.report.picture import png
    found = gather(history, period, time.time(), args.node, _watched)
    if len(found) > MOST_DRAWN:
        raise ReportError(
            f"there are {len(found)} nodes, and a picture shows {MOST_DRAWN} at most; "
            "choose one with --node"
        )
    png([tally for tally, _ in found], period.title, file, MAKER)


def _table(history: History, period: Period, args: argparse.Namespace, file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    entries = {
        "readings": history.readings,
        "moods": history.moods,
        "listening": history.spans,
    }[args.csv]
    span = iso(period.since_s), iso(period.until_s)
    table.write(args.csv, _watched(entries(*span, args.node)), text)
    text.detach()


def _lines(history: History, period: Period, args: argparse.Namespace, file: BinaryIO) -> None:
    for _, figures in gather(history, period, time.time(), args.node, _watched):
        file.write(msgspec.json.encode(figures) + b"\n")


Write = Callable[[History, Period, argparse.Namespace, BinaryIO], None]
# How each form is written, and what such a file has near its beginning and others have not.
FORMS: Final[dict[str, tuple[Write, Callable[[argparse.Namespace], bytes]]]] = {
    "html": (_page, lambda _: f'<meta name="generator" content="{MAKER}">'.encode()),
    "png": (_picture, lambda _: f"Software\0{MAKER}".encode()),
    "csv": (_table, lambda args: ",".join(table.columns(args.csv)).encode()),
    "json": (_lines, lambda _: b'"unknown_share":'),
}


@contextmanager
def _drawing() -> Iterator[None]:
    """Import what draws. Raises ReportError if it is not installed."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        yield
    except ModuleNotFoundError as error:
        raise ReportError(
            f"a page and a picture need {error.name}, which is not installed; install it with "
            "`pip install 'affectd[report]'`, or take --csv or --json"
        ) from error


def _watched(entries: Iterable[T]) -> Iterable[T]:
    """The same, counted on standard error where that is a terminal."""
    return _counted(entries) if sys.stderr.isatty() else entries


def _counted(entries: Iterable[T]) -> Iterator[T]:
    told_s = time.monotonic()
    for count, entry in enumerate(entries):
        if time.monotonic() - told_s > TOLD_EVERY_S:
            told_s = time.monotonic()
            print(f"\r{count:,} read", end="", file=sys.stderr, flush=True)
        yield entry
    print("\r\033[K", end="", file=sys.stderr, flush=True)
