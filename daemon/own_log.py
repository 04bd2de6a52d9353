"""What affectd says of itself: in systemd's journal if standard error leads there, else there."""

import logging
import os
import sys
from collections.abc import Mapping


def begin() -> None:
    """Have all that is logged said, from `info` on; does nothing where somebody else takes it."""
    if logging.root.handlers:
        return
    handler, prefix = (_journal(), "") if is_journal(os.environ) else (_stream(), "affectd: ")
    logging.basicConfig(format=f"{prefix}%(message)s", level=logging.INFO, handlers=[handler])


def complain(error: str) -> None:
    """Say why a command fails."""
    if is_journal(os.environ):
        logging.getLogger("affectd").error("%s", error)
    else:
        print(f"affectd: {error}", file=sys.stderr)


def is_journal(environment: Mapping[str, str]) -> bool:
    """Whether standard error leads to systemd's journal. Source: systemd.exec(5)."""
    try:
        status = os.fstat(2)
    except OSError:  # it is closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _journal() -> logging.Handler:
    from affectd.daemon.journald import JournalHandler

    return JournalHandler()


def _stream() -> logging.Handler:
    """Standard error, by a descriptor of its own.

    While PortAudio looks for devices, sounddevice leads the usual one to nowhere, and with it what
    other threads say.
    """
    try:
        own = os.dup(2)
    except OSError:  # it is closed
        return logging.NullHandler()
    stream = open(own, "w", buffering=1, errors="backslashreplace")  # noqa: PTH123, SIM115
    return logging.StreamHandler(stream)
