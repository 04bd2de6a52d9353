"""`affectd train fetch`: corpora and the pretrained encoder from their publishers, checked."""

import argparse
import json
import shutil
import signal
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from affectd.daemon.errors import SettingsError
from affectd.train.corpora.corpus import AUDIO_SUFFIXES, Corpus, CorpusError
from affectd.train.corpora.download import AGAIN, download, read
from affectd.train.corpora.layouts import LAYOUTS, Layout, load
from affectd.train.corpora.sources import BY_HAND, ENCODER, SOURCES, Remote, Source, Weights

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

POINTER: Final = b"version https://git-lfs"  # how a file begins that Git LFS has left behind
SPARE: Final = 64 << 20  # bytes of the disk that unpacking leaves free


def add_command(commands: "Commands", server: str = "") -> None:
    """Add `fetch` to the commands of `affectd train`.

    server: replaces scheme and host of the publishers' addresses, for tests.
    """
    text = "download a corpus, or the pretrained encoder, from its publishers and check it"
    command = commands.add_parser("fetch", help=text, description=text.capitalize() + ".")
    command.add_argument(
        "corpus", choices=[*LAYOUTS, "encoder"], help="%(choices)s", metavar="CORPUS"
    )
    command.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the folder to unpack it into"
    )
    command.add_argument("--yes", action="store_true", help="do not ask, start at once")
    command.set_defaults(run=partial(_run, server=server))


def _run(args: argparse.Namespace, server: str) -> None:
    if args.corpus == "encoder":
        _run_encoder(args.to, server, is_asked=not args.yes)
        return
    layout = LAYOUTS[args.corpus]
    if args.corpus in BY_HAND:
        raise CorpusError(
            f"{layout.name} must be got by hand, {BY_HAND[args.corpus]}: ask at {layout.homepage} "
            f"and unpack it so that {args.to} contains {layout.example} and so on"
        )
    print(describe(layout, SOURCES[args.corpus]))
    if not args.yes and not _confirmed(args.to):
        print("Nothing was fetched.")
        return
    with _stopping(args.to):
        corpus = fetch(args.corpus, args.to, server)
    print(corpus.report())
    missing = SOURCES[args.corpus].clips - len(corpus.clips)
    if missing > 0:
        print(
            f"  {missing} clips fewer than its publishers have; look through what is in {args.to}"
        )


def _run_encoder(folder: Path, server: str, *, is_asked: bool) -> None:
    print(_notice(ENCODER, ENCODER.size, "with a published checksum"))
    if is_asked and not _confirmed(folder):
        print("Nothing was fetched.")
        return
    with _stopping(folder):
        path = fetch_encoder(folder, server)
    print(f"{ENCODER.name}: {path} ({ENCODER.licence})")


def describe(layout: Layout, source: Source) -> str:
    """What a person should know of a corpus before it is fetched."""
    if source.archive is None:
        checked = "each file has a published checksum"
    elif source.archive.checksum:
        checked = "with a published checksum"
    else:
        checked = "no checksum is published"
    return _notice(layout, source.size, checked)


def _notice(what: Layout | Weights, size: str, checked: str) -> str:
    return (
        f"{what.name}, {size}, {checked}\n  licence: {what.licence}\n"
        f"  cite: {what.citation}\n  from: {what.homepage}"
    )


def _confirmed(folder: Path) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise SettingsError(
            "there is no terminal to ask on; give --yes to fetch without a question"
        )
    try:
        return input(f"Fetch it to {folder}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


@contextmanager
def _stopping(folder: Path) -> Iterator[None]:
    """Let SIGTERM end the command like Ctrl-C, and say how to go on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nStopped; what came is kept in {folder}: {AGAIN}", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def fetch(key: str, folder: Path, server: str = "") -> Corpus:
    """Download one of SOURCES into a folder, unpack it there and load it.

    server: replaces scheme and host of the publishers' addresses. A complete corpus is only
    loaded. Raises CorpusError if it cannot be had, stored or understood.
    """
    source = SOURCES[key]
    _make(folder)
    if source.archive is not None:
        if not _is_there(key, folder, source.archive):
            archive = _on(server, source.archive)
            _download([archive], folder)
            unpack(folder / archive.name, folder)
    else:
        _download([_on(server, remote) for remote in _listed(source, server)], folder)
    _refuse_pointers(folder)
    if source.tables:
        _download([_on(server, table) for table in source.tables], folder)
    return load(key, folder)


def fetch_encoder(folder: Path, server: str = "") -> Path:
    """Download the weights that ENCODER names and convert them; return the converted file.

    server: replaces scheme and host of the publisher's address. A sound converted file is kept
    as it is. Raises CorpusError if the weights cannot be had, stored or understood.
    """
    from affectd.train.corpora import encoder_file

    _make(folder)
    path, weights = folder / encoder_file.NAME, _on(server, ENCODER.file)
    with suppress(CorpusError):
        encoder_file.load(path, ENCODER.digest)
        return path
    _download([weights], folder)
    encoder_file.convert(folder / weights.name, path, ENCODER.digest)
    return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(
            f"{folder} cannot be made ({error.strerror}); choose another folder with --to"
        ) from error


def _is_there(key: str, folder: Path, archive: Remote) -> bool:
    """Whether an earlier run has come to its end: it removes the archive last."""
    if (folder / archive.name).exists() or (folder / f"{archive.name}.part").exists():
        return False
    try:
        return len(load(key, folder).clips) >= SOURCES[key].clips
    except CorpusError:
        return False


def _on(server: str, remote: Remote) -> Remote:
    return Remote(_address(remote.url, server), remote.name, remote.size, remote.checksum)


def _address(url: str, server: str) -> str:
    if not server:
        return url
    scheme, place, *_ = urlsplit(server)
    return urlunsplit(urlsplit(url)._replace(scheme=scheme, netloc=place))


def _listed(source: Source, server: str) -> list[Remote]:
    """The recordings of a Dataverse dataset."""
    url = _address(source.dataverse, server)
    try:
        entries = json.loads(read(url))["data"]["latestVersion"]["files"]
        return [
            _recording(entry["dataFile"], source.files)
            for entry in entries
            if Path(entry["dataFile"]["filename"]).suffix.lower() in AUDIO_SUFFIXES
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{url} is not the list of files that a Dataverse gives ({error!r}); "
            "download the corpus from its publishers' page by hand"
        ) from error


def _recording(entry: dict[str, Any], address: str) -> Remote:
    kind, stated = entry["checksum"]["type"], entry["checksum"]["value"]
    name = PureWindowsPath(entry["filename"]).name  # no folder, with either kind of slash
    checksum = f"{kind.lower().replace('-', '')}:{stated}"
    return Remote(address.format(int(entry["id"])), name, int(entry["filesize"]), checksum)


def _download(remotes: list[Remote], folder: Path) -> None:
    from tqdm import tqdm

    sizes = [remote.size for remote in remotes if remote.size is not None]
    total = sum(sizes) if len(sizes) == len(remotes) else None
    here = sum(path.stat().st_size for remote in remotes for path in _stored(remote, folder))
    _check_room(folder, (total or 0) - here, "the download")
    with tqdm(
        total=total, unit="B", unit_scale=True, desc="Downloading", disable=None, leave=False
    ) as bar:

        def progress(count: int, size: int | None) -> None:
            if bar.total is None and size is not None:
                bar.total = size
            bar.update(count)

        for remote in remotes:
            download(remote, folder, progress)


def _stored(remote: Remote, folder: Path) -> list[Path]:
    paths = (folder / remote.name, folder / f"{remote.name}.part")
    return [path for path in paths if path.is_file()]


def _check_room(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise CorpusError(
            f"{what} needs {needed / 1e6:.0f} MB more in {folder}, where {free / 1e6:.0f} MB are "
            "free; make room or choose another folder with --to"
        )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ZIP archive into a folder and remove it.

    Raises CorpusError, with nothing written, if the disk is too small or a name leads out of the
    folder; a damaged archive is removed.
    """
    from tqdm import tqdm

    try:
        with zipfile.ZipFile(archive) as file:
            entries = file.infolist()
            _refuse_escapes(archive, entries)
            _check_room(folder, sum(entry.file_size for entry in entries), "unpacking")
            for entry in tqdm(entries, desc="Unpacking", disable=None, leave=False):
                file.extract(entry, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        archive.unlink()
        raise CorpusError(
            f"{archive} is no sound ZIP archive ({error}) and was removed; run the same command "
            "again, or download the corpus from its publishers' page by hand"
        ) from error
    except OSError as error:
        raise CorpusError(
            f"{archive} cannot be unpacked into {folder} ({error.strerror}); make room or choose "
            "another folder with --to, then run the same command again"
        ) from error
    archive.unlink()


def _refuse_escapes(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        posix, windows = PurePosixPath(entry.filename), PureWindowsPath(entry.filename)
        if posix.is_absolute() or windows.anchor or ".." in windows.parts:
            raise CorpusError(
                f"{archive} has a file that would be written outside its folder, "
                f"{entry.filename}; nothing was unpacked, remove the archive"
            )


def _refuse_pointers(folder: Path) -> None:
    for path in folder.rglob("*.wav"):
        if path.stat().st_size < 1024 and path.read_bytes().startswith(POINTER):
            raise CorpusError(
                f"{path} is a pointer of Git LFS instead of a recording, the server gave no audio; "
                "remove the folder and clone the publishers' repository with git and git-lfs"
            )
