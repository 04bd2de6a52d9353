"""Results of long work on disk: written whole or not at all, and read back with a clear error."""

import pickle
import zlib
from pathlib import Path
from typing import Any, Final

import joblib

from affectd.daemon.errors import AffectdError

# What unpickling raises when bytes are missing or changed, or were written by other code.
DAMAGED: Final = (
    *(AttributeError, EOFError, ImportError, IndexError, KeyError, TypeError, ValueError),
    *(pickle.UnpicklingError, zlib.error),
)


class StoredError(AffectdError):
    """A stored result cannot be read."""


def keep(result: object, path: Path, compress: int = 0) -> None:
    """Write a result beside its place and put it there when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    joblib.dump(result, unfinished, compress=compress)
    unfinished.replace(path)


def load(path: Path, mmap_mode: str | None = None) -> Any:
    """Read a result; raise StoredError if it is damaged, or of other code."""
    try:
        return joblib.load(path, mmap_mode=mmap_mode)
    except OSError as error:
        raise StoredError(
            f"{path} cannot be read ({error.strerror}); remove it and run again"
        ) from error
    except Exception as error:  # unpickling raises whatever the bytes make it do
        raise StoredError(f"{path} is damaged ({error}); remove it and run again") from error
