"""The affectd that runs on this machine, as a source: its socket."""

import grp
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from affectd.daemon.errors import WatchError
from affectd.daemon.publish.feed import FULL
from affectd.daemon.publish.messages import Event
from affectd.daemon.watch.inbox import Inbox, Link

RETRY_S: Final = 1.0
LONGEST: Final = 2**20  # bytes of a line
CONNECT_S: Final = 5.0  # for a service that hangs to take the connection


def connect(paths: Sequence[Path]) -> tuple[socket.socket, Path] | None:
    """A connection to the first service that runs, and where; None if there is none.

    Raises WatchError if there may be one, but this user cannot connect to it.
    """
    denied: Path | None = None
    for path in paths:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(CONNECT_S)
        try:
            stream.connect(str(path))
        except PermissionError:
            denied = denied or path
        except OSError:  # there is none, or its process has ended
            pass
        else:
            stream.settimeout(None)
            return stream, path
        stream.close()
    if denied is not None:
        group = _group(denied)
        raise WatchError(
            f"{denied} is for the group {group} alone, in which this user is not; "
            f"`sudo usermod -aG {group} $USER` and a new login let you in, or watch over MQTT "
            "with --broker"
        )
    return None


def _group(path: Path) -> str:
    """The group that may read a socket; affectd, if that cannot be seen from here."""
    with suppress(OSError, KeyError):
        return grp.getgrgid(path.stat().st_gid).gr_name
    return "affectd"


class LocalSource:
    """Connects to the first service that runs, again and again."""

    def __init__(self, paths: Sequence[Path], node: str | None, inbox: Inbox) -> None:
        """paths: of sockets; node: the only one that is wanted, or None."""
        self._paths, self._node, self._inbox = paths, node, inbox
        wanted = " or ".join(map(str, paths))
        self._waiting = f"no affectd runs here ({wanted}); waiting for it, or use --broker"
        self._told = Link(False, "")
        self._stopping = threading.Event()
        self._stream: socket.socket | None = None
        self._thread = threading.Thread(target=self._keep, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        if (stream := self._stream) is not None:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(RETRY_S)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                connected = connect(self._paths)
            except WatchError as error:
                self._tell(Link(False, str(error)))
            else:
                if connected:
                    self._waiting = self._read(*connected)
                self._tell(Link(False, self._waiting))
            self._stopping.wait(RETRY_S)

    def _tell(self, link: Link) -> None:
        """Put it if it is new."""
        if link != self._told:
            self._inbox.put(link)
        self._told = link

    def _read(self, stream: socket.socket, path: Path) -> str:
        """Put what comes until the end; return what happened, for people."""
        self._stream = stream
        self._tell(Link(True, f"this machine ({path})"))
        with stream, stream.makefile("rb") as lines:
            while not self._stopping.is_set():
                try:
                    line = lines.readline(LONGEST)
                    event = msgspec.json.decode(line, type=Event) if line else None
                except (OSError, msgspec.DecodeError):
                    event = None  # it was cut
                if event is None:
                    break
                if event.event == FULL:
                    return str(msgspec.json.decode(event.message))
                if self._node in (None, event.node):
                    self._inbox.put(event)
        return f"the affectd at {path} has gone away; waiting for it"
