"""All checks, one after the other, none of which may hang or take the others with it."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path

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
    """What one check finds within its time, made in a thread that is abandoned after it."""
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    threading.Thread(target=_run, args=(name, case, found), daemon=True).start()
    end_s = time.monotonic() + limit_s
    while True:
        try:
            finding = found.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            message = f"it has not ended within {limit_s:g} s"
            yield wrong(name, Problem.CHECK_HANGS, message, limit_s=limit_s)
            return
        if finding is None:
            return
        yield finding


def _run(name: str, case: Case, found: "queue.SimpleQueue[Finding | None]") -> None:
    """Put what one check finds, and None when it has ended."""
    try:
        module = import_module(f"affectd.daemon.doctor.{name.replace('-', '_')}")
        for finding in module.check(case):
            found.put(finding)
    except Exception as error:
        # The last line of defence: a part that is missing or odd is a finding, not the end.
        message = f"the check itself failed: {type(error).__name__}: {error}"
        found.put(wrong(name, Problem.CHECK_FAILS, message))
    finally:
        found.put(None)
