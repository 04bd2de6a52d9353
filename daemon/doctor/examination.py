"""All checks, one after the other, none of which may hang or take the others with it."""

import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgspec

from affectd.daemon.doctor import CHECKS
from affectd.daemon.doctor.case import Case, case_of
from affectd.daemon.doctor.finding import Finding, Problem, wrong
from affectd.daemon.errors import SettingsError


def examine(
    path: Path | None,
    environment: Mapping[str, str],
    listen_s: float,
    only: Collection[str],
    tell: Callable[[str], None],
) -> Iterator[Finding]:
    """Yield what is found, as it is found.

    path: of the configuration; None looks for it. listen_s: how long the microphones are heard.
    only: names of checks; none stands for all. tell: takes what is done now. With a wrong
    configuration that is all there is to find.
    """
    try:
        case = case_of(path, environment, listen_s, tell)
    except SettingsError as error:
        yield wrong("configuration", Problem.CONFIGURATION_WRONG, str(error))
        return
    for name, limit_s in CHECKS.items():
        if not only or name in only:
            tell(f"looking at {name}")
            yield from bounded(name, case, limit_s + listen_s)


def exit_status(findings: Collection[Finding]) -> int:
    """0 if nothing failed, 2 if the configuration is wrong, else 1."""
    failed = {finding.finding for finding in findings if finding.state == "failed"}
    return 2 if Problem.CONFIGURATION_WRONG.slug in failed else int(bool(failed))


def bounded(name: str, case: Case, limit_s: float) -> Iterator[Finding]:
    """What one check finds within its time.

    It is made in a process of its own, that is killed after it: a sound system may hang, and with
    some configurations abort.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        _report(name, case, theirs)
    os.close(theirs)
    try:
        for line in _lines(ours, limit_s):
            yield msgspec.json.decode(line, type=Finding)
    except TimeoutError:
        message = f"it has not ended within {limit_s:g} s"
        yield wrong(name, Problem.CHECK_HANGS, message, limit_s=limit_s)
    else:
        number = -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = 0
        if number > 0:
            message = f"it was ended by {signal.Signals(number).name}"
            yield wrong(name, Problem.CHECK_CRASHES, message, signal=number)
    finally:
        os.close(ours)
        if child:  # which is not waited for: a disk that hangs may hold it
            os.kill(child, signal.SIGKILL)


def _lines(pipe: int, limit_s: float) -> Iterator[bytes]:
    """Whole lines until the pipe ends. Raises TimeoutError if it has not in time."""
    end_s, rest = time.monotonic() + limit_s, b""
    while True:
        if not select.select([pipe], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise TimeoutError
        if not (part := os.read(pipe, 65_536)):
            return
        *lines, rest = (rest + part).split(b"\n")
        yield from lines


def _report(name: str, case: Case, pipe: int) -> NoReturn:
    """Write what one check finds, a line each, and end this process."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        module = import_module(f"affectd.daemon.doctor.{name.replace('-', '_')}")
        for finding in module.check(case):
            os.write(pipe, msgspec.json.encode(finding) + b"\n")
    except Exception as error:
        # The last line of defence: a part that is missing or odd is a finding, not the end.
        message = f"the check itself failed: {type(error).__name__}: {error}"
        os.write(pipe, msgspec.json.encode(wrong(name, Problem.CHECK_FAILS, message)) + b"\n")
    finally:
        os._exit(0)
