"""Is the clock right? Readings are told apart, kept and drawn by their times."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.emotion import bundle
from affectd.daemon.errors import BundleError

TIME_ERROR: Final = 5  # what adjtimex(2) returns for a clock that nothing synchronises
TIMEX_BYTES: Final = 512  # more than its structure has on any machine
YEARS: Final = 30  # after which a clock is rather wrong than affectd still in use
YEAR_S: Final = 365.25 * 86_400


def check(case: Case) -> Iterator[Finding]:  # noqa: ARG001
    """Compare with the time when the shipped networks were made, and ask the kernel."""
    made_s = 0.0
    with suppress(BundleError):  # which the check of the networks tells
        made_s = datetime.fromisoformat(bundle.load(bundle.DEFAULT).created).timestamp()
    yield judge(time.time(), made_s, is_synchronised())


def judge(now_s: float, made_s: float, synchronised: bool) -> Finding:
    """All in seconds since 1970."""
    told = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now_s))
    facts = {"time": told, "synchronised": synchronised}
    if not made_s <= now_s < made_s + YEARS * YEAR_S:
        return wrong("clock", Problem.CLOCK_WRONG, f"it is {told}, says the clock", **facts)
    if not synchronised:
        message = f"it is {told}, but nothing synchronises the clock"
        return wrong("clock", Problem.CLOCK_NOT_SYNCHRONISED, message, **facts)
    return well("clock", f"it is {told}, synchronised", **facts)


def is_synchronised() -> bool:
    """Whether the kernel's clock follows a time server, by whatever program."""
    nothing_to_change = ctypes.create_string_buffer(TIMEX_BYTES)
    return ctypes.CDLL(None).adjtimex(nothing_to_change) not in (-1, TIME_ERROR)
