"""Downloads that go on where they were interrupted, and are checked against a checksum."""

import errno
import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from affectd import __version__
from affectd.train.corpora.corpus import CorpusError
from affectd.train.corpora.sources import Remote

BLOCK: Final = 1 << 18  # bytes read at a time
PATIENCE_S: Final = 60.0  # without a byte from the server
AGAIN: Final = "run the same command again, it goes on where it was"


def download(remote: Remote, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
    """Download one file into a folder; what is there already is not downloaded again.

    progress: is told how many bytes of the file came (or were there, or less than none if they
    had to be dropped), and the size of the file if it is known.
    Raises CorpusError if the server, the disk or the checksum fails. What came before stays in
    `NAME.part`, but for a file with a wrong checksum, which is removed.
    """
    target = folder / remote.name
    if target.is_file():
        progress(target.stat().st_size, remote.size)
        return target
    part = folder / f"{remote.name}.part"
    with _disk_errors(folder):
        if _is_complete(part, remote):
            progress(part.stat().st_size, remote.size)
        else:
            _continue(remote, part, progress)
        _check(part, remote)
        _version_of(part).unlink(missing_ok=True)
        return part.replace(target)


def read(url: str) -> bytes:
    """What lies at an address; raises CorpusError if it cannot be had."""
    with _network_errors(url):
        response = _open(url, {})
        with response:
            return bytes(response.read())


def _is_complete(part: Path, remote: Remote) -> bool:
    return remote.size is not None and part.is_file() and part.stat().st_size == remote.size


def _continue(remote: Remote, part: Path, progress: Callable[[int, int | None], None]) -> None:
    """Download what is missing; all of it if the server cannot go on, or has another file now."""
    have, headers = _wanted(part, remote)
    with _network_errors(remote.url):
        try:
            response = _open(remote.url, headers)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            error.close()
            response = _open(remote.url, {})
        with response:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0
            size = _size(response, have, remote)
            _remember_version(part, response)
            progress(have, size)
            _append(response, part, have, lambda count: progress(count, size))
    if size is not None and part.stat().st_size < size:
        raise CorpusError(
            f"{remote.url} broke off after {part.stat().st_size} of {size} bytes; {AGAIN}"
        )


def _wanted(part: Path, remote: Remote) -> tuple[int, dict[str, str]]:
    """How many bytes are here, and how to ask for the rest of the very same file."""
    have = part.stat().st_size if part.is_file() else 0
    version = _version_of(part).read_text() if _version_of(part).is_file() else ""
    if not have or not (version or remote.checksum):  # else two files might be joined unnoticed
        return 0, {}
    return have, {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})


def _version_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _remember_version(part: Path, response: http.client.HTTPResponse) -> None:
    tag = response.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # If-Range takes strong ones only
        tag = response.headers.get("Last-Modified", "")
    _version_of(part).write_text(tag)


def _size(response: http.client.HTTPResponse, have: int, remote: Remote) -> int | None:
    length = response.headers.get("Content-Length", "")
    size = have + int(length) if length.isdecimal() else remote.size
    if remote.size is not None and size != remote.size:
        raise CorpusError(
            f"{remote.url} has {size} bytes instead of the {remote.size} that its publishers "
            "state; the file has changed there, download it by hand if you trust it"
        )
    return size


def _append(
    response: http.client.HTTPResponse, part: Path, have: int, progress: Callable[[int], None]
) -> None:
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        file.truncate()
        while block := response.read(BLOCK):
            file.write(block)
            progress(len(block))


def _check(part: Path, remote: Remote) -> None:
    """Remove a file that is not what its publishers state, and raise CorpusError."""
    if not remote.checksum:
        return
    kind, _, stated = remote.checksum.partition(":")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    if found.hexdigest() != stated.lower():
        part.unlink()
        _version_of(part).unlink(missing_ok=True)
        raise CorpusError(
            f"{remote.name} from {remote.url} has the {kind.upper()} {found.hexdigest()} instead "
            f"of {stated}, so it is damaged and was removed; run the same command again"
        )


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    # Every address is a constant of sources.py, or made of one and a number (S310).
    headers = {"User-Agent": f"affectd/{__version__}", "Accept-Encoding": "identity"} | headers
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    return cast(
        "http.client.HTTPResponse",
        urllib.request.urlopen(request, timeout=PATIENCE_S),  # noqa: S310
    )


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Say in one sentence what the network did; errors of the disk pass through."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise CorpusError(f"{url}: {_answer(error)}") from error
    except urllib.error.URLError as error:
        raise CorpusError(
            f"{url} cannot be reached ({error.reason}); look after the network, then {AGAIN}"
        ) from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise CorpusError(f"{url} broke off ({error or type(error).__name__}); {AGAIN}") from error


def _answer(error: urllib.error.HTTPError) -> str:
    said = f"the server answers {error.code} {error.reason}"
    if error.code in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}:
        return f"{said}; the publishers have moved the file, download it from their page by hand"
    if error.code in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
        return f"{said}; the publishers no longer give it to everyone, ask them on their page"
    return f"{said}; wait a while, then {AGAIN}"


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "make room" if full else "choose another folder with --to"
        why = os.strerror(error.errno) if error.errno else str(error)
        raise CorpusError(f"{folder} cannot be written ({why}); {remedy}, then {AGAIN}") from error
