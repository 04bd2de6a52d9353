"""A file is there whole or not at all, and nothing is overwritten that was not made here."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from affectd.daemon.errors import ReportError

HEAD_BYTES: Final = 1024  # at the beginning of a file, where its mark is


@contextmanager
def replaced(path: Path, mark: bytes) -> Iterator[BinaryIO]:
    """Write a file that appears when it is whole; only this user can read it.

    mark: what is near the beginning of every such file. One that has it, or is empty, is replaced
    and keeps its mode. What is no regular file, such as a pipe, is written as it is. Raises
    ReportError if another file is there, or if this one cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        mode = _mode(path, mark)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123
                yield file
                os.fchmod(descriptor, mode)
            Path(name).replace(path)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written ({error.strerror}); name another file with --to"
        ) from error


def _mode(path: Path, mark: bytes) -> int:
    """Which mode it shall have. Raises ReportError if what is there must not be replaced."""
    try:
        with path.open("rb") as file:
            head, status = file.read(HEAD_BYTES), os.fstat(file.fileno())
    except FileNotFoundError:
        return 0o600
    if head and mark not in head:
        raise ReportError(
            f"{path} is there and is none that `affectd report` made in this form; "
            "name another file with --to, or remove it"
        )
    return stat.S_IMODE(status.st_mode)
