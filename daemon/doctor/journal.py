"""The journal of readings: whole, writable, with room, and how much waits for the broker."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.disk import nearest, room, roots
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.errors import JournalError
from affectd.daemon.publish.history import History
from affectd.daemon.publish.journal_file import is_damage
from affectd.daemon.settings import journal_path

MANY: Final = 100  # readings that wait: some minutes of talk


def check(case: Case) -> Iterator[Finding]:
    """Read all of it, as it may be while affectd writes."""
    path = journal_path(case.settings.journal, case.environment)
    try:
        there = nearest(path)
        aside = sorted(one.name for one in path.parent.glob(f"{path.name}.damaged-*"))
    except PermissionError:
        message = f"{path} is closed to this user"
        yield wrong("journal", Problem.NOT_PERMITTED, message, file=str(path))
        return
    yield from _file(path, there)
    if aside:
        message = f"beside {path} lie damaged ones: {', '.join(aside)}"
        yield wrong("journal", Problem.JOURNAL_SET_ASIDE, message, files=aside)
    little = room("journal", there if there.is_dir() else there.parent)
    if little is not None:
        yield little


def _file(path: Path, there: Path) -> Iterator[Finding]:
    """there: the path, or the nearest above it that exists."""
    facts: dict[str, object] = {"file": str(path)}
    if there != path.absolute():
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield well("journal", f"there is none yet; {path} will be begun", **facts)
        else:
            message = f"{path} cannot be begun: {there} is no folder this user may write to"
            yield wrong("journal", Problem.JOURNAL_UNUSABLE, message, **facts)
        return
    if (of_root := roots("journal", path)) is not None:
        yield of_root
        return
    if not os.access(path, os.R_OK):
        message = f"{path} is another user's"
        yield wrong("journal", Problem.NOT_PERMITTED, message, **facts)
        return
    try:
        with History(path) as history:
            history.verify()
            pending, expired, readings = history.pending(), history.expired(), history.count()
    except JournalError as error:
        broken = is_damage(error.__cause__ or error)
        problem = Problem.JOURNAL_DAMAGED if broken else Problem.JOURNAL_UNUSABLE
        yield wrong("journal", problem, str(error), **facts)
        return
    size = path.stat().st_size
    waiting = sum(pending.values())
    facts |= {"bytes": size, "readings": readings, "pending": pending, "expired": expired}
    told = f"{path} is whole: {readings} reading(s), {size / 1e6:.1f} MB"
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        message = f"{path} or its folder cannot be written by this user"
        yield wrong("journal", Problem.JOURNAL_UNUSABLE, message, **facts)
    elif waiting > MANY:
        message = f"{told}; {waiting} of them wait for the broker"
        yield wrong("journal", Problem.JOURNAL_PENDING, message, **facts)
    else:
        yield well("journal", f"{told}, {waiting} of them wait for the broker", **facts)
