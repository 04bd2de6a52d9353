"""`affectd doctor`: is all well, and what is to be done if not?"""

import argparse
import os
import shutil
import signal
import sys

import msgspec

from affectd.daemon.doctor.examination import examine, exit_status
from affectd.daemon.doctor.finding import Finding
from affectd.daemon.doctor.report import line, summary


def run(args: argparse.Namespace) -> int:
    """Print a line for each finding; return 0, 1 if something failed, or 2."""
    # As Ctrl-C does, it ends the check that is being made with this process.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    progress = Progress()
    findings = []
    for finding in examine(args.config, os.environ, args.listen, args.only, progress.tell):
        findings.append(finding)
        progress.clear()
        print(msgspec.json.encode(finding).decode() if args.json else _line(finding), flush=True)
    progress.clear()
    if not args.json:
        print(summary(findings))
    return exit_status(findings)


def _line(finding: Finding) -> str:
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    coloured = is_terminal and "NO_COLOR" not in os.environ
    return line(finding, width, coloured, sys.stdout.encoding or "ascii")


class Progress:
    """One line on a terminal's standard error that says what is done now; nothing elsewhere."""

    def __init__(self) -> None:
        self._is_seen = sys.stderr.isatty()
        self._told = ""

    def tell(self, text: str) -> None:
        """Say it in the place of what was said before."""
        if self._is_seen and text != self._told:
            print(f"\r\033[K{text} …", end="", file=sys.stderr, flush=True)
            self._told = text

    def clear(self) -> None:
        """Leave the line to others, whoever has written it."""
        if self._is_seen:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._told = ""
