import argparse
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from affectd.daemon.errors import SettingsError
from affectd.train.corpora import encoder_file
from affectd.train.corpora import fetch as fetching
from affectd.train.corpora.corpus import CorpusError
from affectd.train.corpora.download import download
from affectd.train.corpora.fetch import add_command, describe, fetch, fetch_encoder, unpack
from affectd.train.corpora.layouts import LAYOUTS
from affectd.train.corpora.listeners import Vote, voice_votes
from affectd.train.corpora.sources import BY_HAND, ENCODER, SOURCES, Remote, Weights
from tests.conftest import free_port, wait_until
from tests.train.whisper import Published, expected, published, written

SPEECH = [
    f"Actor_{actor:02}/03-01-05-0{level}-01-01-{actor:02}.wav"
    for actor in (1, 2)
    for level in (1, 2)
]
PATH = "/records/1188976/files/Audio_Speech_Actors_01-24.zip"
ZIP = "Audio_Speech_Actors_01-24.zip"


@dataclass
class Publisher:
    """An HTTP server on loopback that offers files, with byte ranges."""

    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    status: int = 200
    broken_off_after: int | None = None  # bytes that one answer has at most
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range
    held: threading.Event = field(default_factory=threading.Event)  # what is held back, once set
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def remote(self, path: str, checksum: str = "", *, sized: bool = False) -> Remote:
        size = len(self.files[path]) if sized else None
        return Remote(f"{self.address}{path}", "corpus.zip", size, checksum)


class Answer(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        path, it = self.path.partition("?")[0], self.publisher
        wanted = self.headers.get("Range", "")
        it.asked.append((path, wanted))
        if it.status != 200 or path not in it.files:
            self.send_error(it.status if it.status != 200 else 404)
            return
        body, tag = it.files[path], it.tags.get(path, "")
        start = self._start(wanted, tag)
        if start > len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        end = len(body) if it.broken_off_after is None else start + it.broken_off_after
        self.wfile.write(body[start:end])
        self.wfile.flush()
        if it.broken_off_after == 0:
            it.held.wait(20)

    def _start(self, wanted: str, tag: str) -> int:
        changed = self.headers.get("If-Range", tag) != tag
        if not wanted or not self.publisher.ranges or changed:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the output of the tests clean."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    it = Publisher()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"publisher": it}))
    it.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield it
    it.held.set()
    server.shutdown()
    server.server_close()
    thread.join()


def zipped(*names: str, content: bytes = b"RIFF") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, content)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


def ignore(count: int, size: int | None) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def ravdess(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small RAVDESS at the publisher's, with its true checksum."""
    content = zipped(*SPEECH)
    publisher.files[PATH] = content
    source = SOURCES["ravdess"]
    assert source.archive is not None
    archive = replace(source.archive, size=len(content), checksum=md5(content))
    monkeypatch.setitem(SOURCES, "ravdess", replace(source, clips=len(SPEECH), archive=archive))
    return content


# One file.


CONTENT = bytes(range(256)) * 40


def test_a_file_comes_whole(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/a"] = CONTENT
    assert download(publisher.remote("/a"), tmp_path, ignore).read_bytes() == CONTENT


def test_nothing_but_the_file_is_left_behind(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/a"] = CONTENT
    publisher.tags["/a"] = '"1"'
    download(publisher.remote("/a"), tmp_path, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.zip"]


def test_progress_adds_up_to_the_size(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/a"] = CONTENT
    told: list[tuple[int, int | None]] = []
    download(publisher.remote("/a"), tmp_path, lambda count, size: told.append((count, size)))
    assert sum(count for count, _ in told) == len(CONTENT)
    assert {size for _, size in told} == {len(CONTENT)}


def break_off(publisher: Publisher, remote: Remote, folder: Path) -> None:
    """Leave 1000 bytes of a file in a folder."""
    publisher.broken_off_after = 1000
    with pytest.raises(CorpusError, match=r"broke off after 1000 of \d+ bytes; run the same"):
        download(remote, folder, ignore)
    publisher.broken_off_after = None


def test_a_download_that_broke_off_goes_on_where_it_was(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    remote = publisher.remote("/a", md5(CONTENT))
    break_off(publisher, remote, tmp_path)
    assert download(remote, tmp_path, ignore).read_bytes() == CONTENT
    assert publisher.asked == [("/a", ""), ("/a", "bytes=1000-")]


def test_progress_of_a_resumed_download_begins_where_it_was(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    remote = publisher.remote("/a", md5(CONTENT))
    break_off(publisher, remote, tmp_path)
    told: list[int] = []
    download(remote, tmp_path, lambda count, _: told.append(count))
    assert (told[0], sum(told)) == (1000, len(CONTENT))


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    publisher.ranges = False
    remote = publisher.remote("/a", md5(CONTENT))
    break_off(publisher, remote, tmp_path)
    assert download(remote, tmp_path, ignore).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_read_from_the_start(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"], publisher.tags["/a"] = CONTENT, '"1"'
    remote = publisher.remote("/a")
    break_off(publisher, remote, tmp_path)
    publisher.files["/a"], publisher.tags["/a"] = CONTENT[::-1], '"2"'
    assert download(remote, tmp_path, ignore).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tag", ["", 'W/"1"'])
def test_a_file_that_nothing_identifies_is_read_from_the_start(
    tag: str, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"], publisher.tags["/a"] = CONTENT, tag
    remote = publisher.remote("/a")
    break_off(publisher, remote, tmp_path)
    download(remote, tmp_path, ignore)
    assert publisher.asked == [("/a", ""), ("/a", "")]


def test_a_file_that_became_shorter_than_what_is_here_is_read_from_the_start(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    break_off(publisher, publisher.remote("/a", md5(CONTENT)), tmp_path)
    publisher.files["/a"] = CONTENT[:500]
    remote = publisher.remote("/a", md5(CONTENT[:500]))
    assert download(remote, tmp_path, ignore).read_bytes() == CONTENT[:500]


def test_a_file_that_was_complete_but_unchecked_is_not_asked_for_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    (tmp_path / "corpus.zip.part").write_bytes(CONTENT)
    download(publisher.remote("/a", md5(CONTENT), sized=True), tmp_path, ignore)
    assert publisher.asked == []


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_published_checksum_is_checked(kind: str, publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/a"] = CONTENT
    checksum = f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}"
    assert download(publisher.remote("/a", checksum), tmp_path, ignore).is_file()


def test_a_wrong_checksum_is_an_error_and_the_damaged_file_is_removed(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    with pytest.raises(CorpusError, match=f"has the MD5 .* instead of {md5(b'')[4:]}"):
        download(publisher.remote("/a", md5(b"")), tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_than_published_is_refused_before_it_is_downloaded(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"] = CONTENT
    remote = replace(publisher.remote("/a"), size=9)
    with pytest.raises(CorpusError, match=f"has {len(CONTENT)} bytes instead of the 9"):
        download(remote, tmp_path, ignore)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "answers 404 Not Found; the publishers have moved the file"),
        (403, "answers 403 Forbidden; the publishers no longer give it"),
        (429, "answers 429 Too Many Requests; wait a while, then run the same command"),
        (503, "answers 503 Service Unavailable; wait a while, then run the same command"),
    ],
)
def test_a_server_that_refuses_is_an_error_with_a_remedy(
    status: int, message: str, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/a"], publisher.status = CONTENT, status
    with pytest.raises(CorpusError, match=message):
        download(publisher.remote("/a"), tmp_path, ignore)


def test_no_network_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    remote = Remote(f"http://127.0.0.1:{free_port()}/a", "a")
    with pytest.raises(CorpusError, match=r"cannot be reached \(.*\); look after the network"):
        download(remote, tmp_path, ignore)


def test_a_full_disk_is_an_error_that_keeps_what_came(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.files["/a"] = CONTENT

    def full(count: int, size: int | None) -> None:
        if count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        CorpusError, match=r"No space left on device.; make room, then run the same"
    ):
        download(publisher.remote("/a"), tmp_path, full)
    assert (tmp_path / "corpus.zip.part").exists()


# A whole corpus.


@pytest.mark.usefixtures("ravdess")
def test_a_corpus_is_downloaded_unpacked_and_loaded(publisher: Publisher, tmp_path: Path) -> None:
    corpus = fetch("ravdess", tmp_path / "new" / "folder", publisher.address)
    assert {clip.speaker for clip in corpus.clips} == {"ravdess_01", "ravdess_02"}
    assert len(corpus.clips) == len(SPEECH)


@pytest.mark.usefixtures("ravdess")
def test_the_archive_is_removed_once_it_is_unpacked(publisher: Publisher, tmp_path: Path) -> None:
    fetch("ravdess", tmp_path, publisher.address)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Actor_01", "Actor_02"]


@pytest.mark.usefixtures("ravdess")
def test_a_corpus_that_is_there_is_not_downloaded_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    fetch("ravdess", tmp_path, publisher.address)
    assert len(fetch("ravdess", tmp_path, publisher.address).clips) == len(SPEECH)
    assert len(publisher.asked) == 1


def test_an_archive_whose_unpacking_was_interrupted_is_unpacked_again(
    ravdess: bytes, publisher: Publisher, tmp_path: Path
) -> None:
    fetch("ravdess", tmp_path, publisher.address)
    (tmp_path / ZIP).write_bytes(ravdess)
    (tmp_path / SPEECH[0]).write_bytes(b"")
    fetch("ravdess", tmp_path, publisher.address)
    assert (tmp_path / SPEECH[0]).read_bytes() == b"RIFF"


@pytest.mark.usefixtures("ravdess")
def test_a_corpus_for_which_the_disk_is_too_small_is_not_begun(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CorpusError, match=r"the download needs .* MB are free; make room"):
        fetch("ravdess", tmp_path, publisher.address)
    assert publisher.asked == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"cannot be made .*; choose another folder with --to"):
        fetch("ravdess", tmp_path / "file" / "folder")


def test_recordings_that_git_lfs_left_behind_are_refused(
    publisher: Publisher, tmp_path: Path
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    name = "crema-d-mirror-main-AudioWAV/AudioWAV/1001_DFA_ANG_XX.wav"
    path = "/api/v4/projects/cs-cooper-lab%2Fcrema-d-mirror/repository/archive.zip"
    publisher.files[path] = zipped(name, content=pointer)
    with pytest.raises(CorpusError, match="is a pointer of Git LFS instead of a recording"):
        fetch("cremad", tmp_path, publisher.address)


TABLE = b'"FileName","VoiceVote","VoiceLevel"\n"1001_DFA_ANG_XX","A:D","40:60"\n'


@pytest.fixture
def cremad(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """CREMA-D in one clip, as its publishers' mirror packs it, and their table of votes."""
    name = "crema-d-mirror-main-AudioWAV/AudioWAV/1001_DFA_ANG_XX.wav"
    path = "/api/v4/projects/cs-cooper-lab%2Fcrema-d-mirror/repository/archive.zip"
    publisher.files[path] = zipped(name)
    publisher.files[VOTES] = TABLE
    monkeypatch.setitem(SOURCES, "cremad", replace(SOURCES["cremad"], clips=1))
    return publisher


VOTES = "/CheyneyComputerScience/CREMA-D/master/processedResults/summaryTable.csv"


def test_the_votes_of_cremads_listeners_come_with_its_recordings(
    cremad: Publisher, tmp_path: Path
) -> None:
    fetch("cremad", tmp_path, cremad.address)
    assert voice_votes(tmp_path) == {"1001_DFA_ANG_XX": Vote(("angry", "disgusted"), 50.0)}


def test_votes_that_could_not_be_had_are_fetched_later_without_the_recordings(
    cremad: Publisher, tmp_path: Path
) -> None:
    del cremad.files[VOTES]
    with pytest.raises(CorpusError, match="answers 404"):
        fetch("cremad", tmp_path, cremad.address)
    cremad.files[VOTES] = TABLE
    cremad.asked.clear()
    fetch("cremad", tmp_path, cremad.address)
    assert [path for path, _ in cremad.asked] == [VOTES]


def test_banglaser_is_downloaded_unpacked_and_loaded(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "BanglaSER A Bangla dataset/BanglaSER/Actor 34/03-01-04-02-03-03-34.wav"
    publisher.files["/public-api/zip/t9h6p943xy/download/5"] = zipped(name)
    monkeypatch.setitem(SOURCES, "banglaser", replace(SOURCES["banglaser"], clips=1))
    corpus = fetch("banglaser", tmp_path, publisher.address)
    assert [clip.speaker for clip in corpus.clips] == ["banglaser_34"]


TESS = ["OAF_back_angry.wav", "OA_bite_neutral.wav", "YAF_back_ps.wav"]


@pytest.fixture
def tess(publisher: Publisher) -> Publisher:
    """TESS as Dataverse lists it: each recording with a number and a checksum."""
    entries = []
    for number, name in enumerate([*TESS, "readme.txt"]):
        content = name.encode()
        publisher.files[f"/api/access/datafile/{number}"] = content
        entry = {
            "id": number,
            "filename": name,
            "filesize": len(content),
            "checksum": {"type": "MD5", "value": md5(content)[4:]},
        }
        entries.append({"dataFile": entry})
    listing = {"data": {"latestVersion": {"files": entries}}}
    publisher.files["/api/datasets/:persistentId/"] = json.dumps(listing).encode()
    return publisher


def test_a_corpus_of_single_files_is_downloaded_and_loaded(tess: Publisher, tmp_path: Path) -> None:
    assert len(fetch("tess", tmp_path, tess.address).clips) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(TESS)


def test_single_files_that_are_there_are_not_downloaded_again(
    tess: Publisher, tmp_path: Path
) -> None:
    tess.files["/api/access/datafile/2"], whole = b"", tess.files["/api/access/datafile/2"]
    with pytest.raises(CorpusError, match=r"YAF_back_ps.wav|datafile/2"):
        fetch("tess", tmp_path, tess.address)
    tess.files["/api/access/datafile/2"] = whole
    tess.asked.clear()
    fetch("tess", tmp_path, tess.address)
    assert [path for path, _ in tess.asked[1:]] == ["/api/access/datafile/2"]


def test_a_listed_name_does_not_lead_out_of_the_folder(tess: Publisher, tmp_path: Path) -> None:
    path = "/api/datasets/:persistentId/"
    tess.files[path] = tess.files[path].replace(b"OAF_back", b"../../OAF_back")
    fetch("tess", tmp_path / "tess", tess.address)
    assert [one.name for one in tmp_path.iterdir()] == ["tess"]


@pytest.mark.parametrize("listing", [b"<html>", b"[]", b'{"data": {}}'])
def test_a_listing_that_is_none_is_an_error(
    listing: bytes, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files["/api/datasets/:persistentId/"] = listing
    with pytest.raises(CorpusError, match="is not the list of files that a Dataverse gives"):
        fetch("tess", tmp_path, publisher.address)


# The pretrained encoder.

WEIGHTS = (
    "/openai/whisper-tiny.en/resolve/87c7102498dcde7456f24cfd30239ca606ed9063/model.safetensors"
)


@pytest.fixture
def encoder(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """Weights shaped like Whisper tiny.en at the publisher's, with their true checksums."""
    source = offered(publisher, published(), tmp_path)
    monkeypatch.setattr(fetching, "ENCODER", source)
    return publisher


def offered(publisher: Publisher, tensors: Published, folder: Path) -> Weights:
    """Let the publisher offer weights, though the networks want those of `published`."""
    path = written(folder, tensors)
    content = path.read_bytes()
    path.unlink()
    publisher.files[WEIGHTS] = content
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = replace(ENCODER.file, size=len(content), checksum=checksum)
    return replace(ENCODER, file=file, digest=encoder_file.digest(expected(published())))


def test_the_encoder_is_downloaded_and_converted(
    encoder: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(encoder.address, "encoder", "--to", tmp_path, "--yes")
    said = capsys.readouterr().out
    assert said.startswith("Whisper tiny.en, encoder, 151 MB, with a published checksum\n")
    assert "licence: MIT" in said
    assert said.splitlines()[-1].endswith(f"{tmp_path}/whisper_tiny_en_encoder.npz (MIT)")
    assert [path.name for path in tmp_path.iterdir()] == ["whisper_tiny_en_encoder.npz"]


def test_an_encoder_that_is_there_is_not_downloaded_again(
    encoder: Publisher, tmp_path: Path
) -> None:
    fetch_encoder(tmp_path, encoder.address)
    fetch_encoder(tmp_path, encoder.address)
    assert len(encoder.asked) == 1


def test_a_damaged_encoder_is_replaced(encoder: Publisher, tmp_path: Path) -> None:
    (tmp_path / encoder_file.NAME).write_bytes(b"damaged")
    path = fetch_encoder(tmp_path, encoder.address)
    assert encoder_file.load(path, encoder_file.digest(expected(published())))


def test_a_download_of_the_encoder_that_broke_off_goes_on(
    encoder: Publisher, tmp_path: Path
) -> None:
    encoder.broken_off_after = 1000
    with pytest.raises(CorpusError, match="run the same command again, it goes on"):
        fetch_encoder(tmp_path, encoder.address)
    encoder.broken_off_after = None
    fetch_encoder(tmp_path, encoder.address)
    assert encoder.asked[-1] == (WEIGHTS, "bytes=1000-")


def test_weights_of_another_network_are_an_error_and_are_removed(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = published() | {"model.encoder.conv1.bias": np.zeros(384, np.float16)}
    monkeypatch.setattr(fetching, "ENCODER", offered(publisher, other, tmp_path))
    with pytest.raises(CorpusError, match="so they are of another network; the file was removed"):
        fetch_encoder(tmp_path, publisher.address)
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_is_asked_about_like_a_corpus(
    encoder: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    run(encoder.address, "encoder", "--to", tmp_path)
    assert encoder.asked == []


# Archives.


@pytest.mark.parametrize(
    "name", ["../evil.wav", "/tmp/evil.wav", "a/../../evil.wav", "C:\\evil.wav"]
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "folder"
    archive.write_bytes(zipped("sound.wav", name))
    folder.mkdir()
    with pytest.raises(CorpusError, match="would be written outside its folder"):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, str(tmp_path / "secret"))
    unpack(tmp_path / "a.zip", tmp_path)
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("damage", ["cut", "flipped", "page"])
def test_a_damaged_archive_is_an_error_and_is_removed(damage: str, tmp_path: Path) -> None:
    whole = zipped("sound.wav", content=b"RIFF" * 100)
    archive = tmp_path / "a.zip"
    archive.write_bytes(
        {
            "cut": whole[:300],
            "flipped": whole[:99] + bytes([whole[99] ^ 1]) + whole[100:],
            "page": b"<html>Please log in</html>",
        }[damage]
    )
    with pytest.raises(CorpusError, match=r"is no sound ZIP archive .* and was removed"):
        unpack(archive, tmp_path)
    assert not archive.exists()


def test_an_archive_too_big_for_the_disk_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped("sound.wav"))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CorpusError, match=r"unpacking needs .* MB are free; make room"):
        unpack(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


# The command.


def run(server: str, *words: object) -> None:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(), server)
    args = parser.parse_args(["fetch", *map(str, words)])
    args.run(args)


@pytest.mark.usefixtures("ravdess")
def test_the_command_says_what_it_fetches_and_reports_what_came(
    publisher: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(publisher.address, "ravdess", "--to", tmp_path, "--yes")
    said = capsys.readouterr().out
    assert said.startswith("RAVDESS speech, 208 MB, with a published checksum\n")
    assert "licence: CC BY-NC-SA 4.0" in said
    assert "RAVDESS speech: 4 clips of 2 speakers" in said


@pytest.mark.usefixtures("ravdess")
def test_clips_that_are_missing_are_counted(
    publisher: Publisher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SOURCES, "ravdess", replace(SOURCES["ravdess"], clips=7))
    run(publisher.address, "ravdess", "--to", tmp_path, "--yes")
    assert "3 clips fewer than its publishers have" in capsys.readouterr().out


@pytest.mark.parametrize("key", [key for key in SOURCES if not key.startswith("ravdess")])
def test_a_corpus_without_a_published_checksum_says_so(key: str) -> None:
    said = "each file has a published" if SOURCES[key].archive is None else "no checksum is"
    assert said in describe(LAYOUTS[key], SOURCES[key])


@pytest.mark.usefixtures("ravdess")
def test_without_a_terminal_and_without_yes_nothing_is_fetched(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(SettingsError, match="no terminal to ask on; give --yes") as caught:
        run(publisher.address, "ravdess", "--to", tmp_path)
    assert (caught.value.exit_status, publisher.asked) == (2, [])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("ravdess")
@pytest.mark.parametrize(("answer", "fetched"), [("y\n", 1), ("n\n", 0), ("\n", 0), ("", 0)])
def test_on_a_terminal_the_command_asks_first(
    answer: str,
    fetched: int,
    publisher: Publisher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run(publisher.address, "ravdess", "--to", tmp_path)
    assert len(publisher.asked) == fetched


@pytest.mark.parametrize("key", BY_HAND)
def test_a_corpus_to_be_got_by_hand_is_an_error_that_says_where_and_how(
    key: str, tmp_path: Path
) -> None:
    example = LAYOUTS[key].example.split("…")[0]
    with pytest.raises(CorpusError, match=f"ask at {LAYOUTS[key].homepage} and .*{example}"):
        run("", key, "--to", tmp_path, "--yes")


def test_every_corpus_can_be_fetched_or_is_explained() -> None:
    assert SOURCES.keys() | BY_HAND.keys() == LAYOUTS.keys()


def test_an_unknown_corpus_is_a_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("", "iemocap", "--to", "x")
    assert "ravdess_song" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_download_says_that_the_same_command_goes_on(
    stop: signal.Signals, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.files[PATH] = bytes(208_468_073 // 4096)
    publisher.broken_off_after = 0  # the answer begins, and is held back
    code = (
        "import argparse, signal, sys; from affectd.train.corpora.fetch import add_command;"
        "from affectd.train.corpora.sources import SOURCES; from dataclasses import replace;"
        "s = SOURCES['ravdess'];"
        "SOURCES['ravdess'] = replace(s, archive=replace(s.archive, size=None));"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "p = argparse.ArgumentParser(); add_command(p.add_subparsers(), sys.argv[1]);"
        "a = p.parse_args(sys.argv[2:]); a.run(a)"
    )
    words = [publisher.address, "fetch", "ravdess", "--to", str(tmp_path), "--yes"]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE)
    wait_until((tmp_path / f"{ZIP}.part").exists, "the download begins")
    process.send_signal(stop)
    _, said = process.communicate(timeout=20)
    assert b"Stopped; what came is kept" in said
    assert b"run the same command again, it goes on where it was" in said
    assert (tmp_path / f"{ZIP}.part").exists()


def test_sigterm_means_what_it_meant_once_the_command_is_done(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with fetching._stopping(tmp_path):
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before
