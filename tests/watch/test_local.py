import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from affectd.daemon.errors import WatchError
from affectd.daemon.publish.feed import MOST_READERS, SOCKET, Feed
from affectd.daemon.publish.messages import Event
from affectd.daemon.watch.inbox import MOST, EndError, Inbox, Link, Notice
from affectd.daemon.watch.local import LocalSource, connect

NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def test_the_own_service_comes_before_that_of_the_system(folder: Path) -> None:
    paths = [folder / "own" / SOCKET, folder / "system" / SOCKET]
    assert connect(paths) is None
    feeds = [Feed(path) for path in paths]
    for feed, path in zip(reversed(feeds), reversed(paths), strict=True):
        feed.start()
        connected = connect(paths)
        assert connected is not None
        assert connected[1] == path
        connected[0].close()
    for feed in feeds:
        feed.close()


def test_a_socket_of_another_group_names_the_remedy(folder: Path) -> None:
    feed = Feed(folder / SOCKET)
    feed.start()
    folder.chmod(0o755)
    (folder / SOCKET).chmod(0)
    user = os.geteuid()
    if user == 0:  # whom no mode stops
        os.seteuid(NOBODY)
    try:
        with pytest.raises(WatchError, match=r"`sudo usermod -aG \w+ \$USER`.*--broker"):
            connect([folder / "none" / SOCKET, folder / SOCKET])
    finally:
        os.seteuid(user)
        feed.close()


def test_a_service_that_takes_no_more_readers_is_waited_for(folder: Path) -> None:
    feed, inbox = Feed(folder / SOCKET), Inbox()
    feed.start()
    others = [connect([folder / SOCKET]) for _ in range(MOST_READERS)]
    source = LocalSource([folder / SOCKET], None, inbox)
    source.start()
    assert inbox.get(60) == Link(True, f"this machine ({folder / SOCKET})")
    assert inbox.get(60) == Link(False, f"{MOST_READERS} others watch already; close one")
    for other in others:
        assert other is not None
        other[0].close()
    while (item := inbox.get(60)) != Link(True, f"this machine ({folder / SOCKET})"):
        assert isinstance(item, Link)
    feed.of("kitchen").speech(True)
    while not isinstance(item := inbox.get(60), Event):
        assert isinstance(item, Link)
    source.stop()
    feed.close()


@pytest.mark.parametrize("rubbish", [b"hello\n", b"{}\n", b'{"event":"mood"', b"x" * 2**21])
def test_a_server_that_talks_rubbish_is_left(rubbish: bytes, folder: Path) -> None:
    inbox, path = Inbox(), folder / SOCKET
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        source = LocalSource([path], None, inbox)
        source.start()
        stream, _ = server.accept()
        with stream:
            stream.settimeout(60)
            sending = threading.Thread(target=_send, args=(stream, rubbish))
            sending.start()
            assert inbox.get(60) == Link(True, f"this machine ({path})")
            if rubbish.endswith(b'"'):
                sending.join()
                stream.shutdown(socket.SHUT_RDWR)
            gone = inbox.get(60)
            assert isinstance(gone, Link)
            assert not gone.is_up
            sending.join()
    source.stop()


def _send(stream: socket.socket, data: bytes) -> None:
    try:
        stream.sendall(data)
    except OSError:  # it has had enough
        return


def test_an_inbox_that_is_full_lets_sources_wait_and_the_end_lets_them_go() -> None:
    inbox = Inbox()

    def fill() -> None:
        for number in range(MOST + 10):
            inbox.put(Notice(str(number)))

    filling = threading.Thread(target=fill)
    filling.start()
    assert inbox.get(60) == Notice("0")
    inbox.end()
    filling.join(60)
    assert not filling.is_alive()
    with pytest.raises(EndError):
        inbox.get(0)
