"""Results of long work on disk: written whole or not at all, and read back with a clear error."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import joblib

from affectd.daemon.emotion import bundle, voice
from affectd.daemon.errors import AffectdError
from affectd.daemon.speech import mfcc


class StoredError(AffectdError):
    """A stored result cannot be read."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside a file to write to; the file is replaced when all is written.

    The folder is made if missing. If the writing fails, the file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    yield unfinished
    unfinished.replace(path)


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text)


def keep(result: object, path: Path, compress: int = 0) -> None:
    """Write a result, whole or not at all."""
    with replacing(path) as unfinished:
        joblib.dump(result, unfinished, compress=compress)


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


@cache
def code_digest(modules: tuple[str, ...]) -> str:
    """Digest the code that results depend on, once: as it was when this process began to fit.

    modules: names of those beside this one.
    """
    whole = hashlib.sha256()
    daemon = [Path(file) for file in (bundle.__file__, mfcc.__file__, voice.__file__)]
    for source in (*daemon, *(Path(__file__).with_name(f"{name}.py") for name in modules)):
        whole.update(source.read_bytes())
    return whole.hexdigest()[:12]
