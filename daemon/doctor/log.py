"""The log of readings: writable, with room, in memory or on a disk."""

import os
from collections.abc import Iterator

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.disk import is_in_memory, nearest, room, roots
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.settings import log_path


def check(case: Case) -> Iterator[Finding]:
    """See whether it can be written where it is to be."""
    path = log_path(case.settings.log, case.environment)
    facts: dict[str, object] = {"file": str(path)}
    try:
        there = nearest(path)
    except PermissionError:
        message = f"{path} is closed to this user"
        yield wrong("log", Problem.NOT_PERMITTED, message, **facts)
        return
    is_there = there == path.absolute()
    may = os.W_OK if is_there else os.W_OK | os.X_OK
    if (is_there and there.is_dir()) or (not is_there and not there.is_dir()):
        message = f"{path} is no place for a file: {there} is {'one' if is_there else 'no'} folder"
        yield wrong("log", Problem.LOG_UNUSABLE, message, **facts)
        return
    if is_there and (of_root := roots("log", path)) is not None:
        yield of_root
        return
    if not os.access(there, may):
        problem = Problem.NOT_PERMITTED if case.is_of_system else Problem.LOG_UNUSABLE
        yield wrong("log", problem, f"{there} cannot be written by this user", **facts)
        return
    size, in_memory = there.stat().st_size if is_there else 0, is_in_memory(there)
    facts |= {"bytes": size, "in_memory": in_memory}
    where = "in memory, gone with a restart of the machine" if in_memory else "on a disk"
    begun = f"{size / 1e6:.1f} MB" if is_there else "not begun yet"
    yield well("log", f"{path}, {begun}, {where}", **facts)
    little = room("log", there if there.is_dir() else there.parent)
    if little is not None:
        yield little
