"""Findings as people read them in a terminal."""

import textwrap
from collections.abc import Sequence
from typing import Final

from affectd.daemon.doctor import CHECKS
from affectd.daemon.doctor.finding import Finding, State

MARKS: Final[dict[State, str]] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}
PLAIN: Final[dict[State, str]] = {"ok": "+", "warning": "!", "failed": "x", "skipped": "-"}
COLOURS: Final[dict[State, int]] = {"ok": 32, "warning": 33, "failed": 31, "skipped": 36}
MARGIN: Final = 4 + max(map(len, CHECKS))
PAGE: Final = "docs/troubleshooting.md"


def line(finding: Finding, width: int | None, coloured: bool, encoding: str) -> str:
    """A finding with its mark, and below it what to do and where more is said.

    width: of the terminal; None wraps nothing. encoding: of what it is printed to.
    """
    mark = _mark(finding.state, encoding)
    if coloured:
        mark = f"\033[{COLOURS[finding.state]}m{mark}\033[0m"
    head = f"{mark} {finding.check.ljust(MARGIN - 2)}"
    told = f"{finding.message} [{finding.finding}]" if finding.finding else finding.message
    lines = _wrapped(told, width)
    if finding.remedy:
        lines += _wrapped(f"> {finding.remedy}", width)
    return f"\n{' ' * MARGIN}".join([head + lines[0], *lines[1:]])


def summary(findings: Sequence[Finding]) -> str:
    """How much is wrong, in one line."""
    counts = {state: sum(one.state == state for one in findings) for state in MARKS}
    told = f"{counts['ok']} well, {counts['warning']} warning(s), {counts['failed']} failed"
    if counts["warning"] or counts["failed"]:
        return f"{told}; {PAGE} says more of each name in brackets"
    return told


def _mark(state: State, encoding: str) -> str:
    try:
        MARKS[state].encode(encoding)
    except UnicodeEncodeError:
        return PLAIN[state]
    return MARKS[state]


def _wrapped(text: str, width: int | None) -> list[str]:
    if width is None or width <= MARGIN + 20:
        return [text]
    return textwrap.wrap(text, width - MARGIN, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
