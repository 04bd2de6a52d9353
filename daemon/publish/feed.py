"""What `affectd watch` and other programs of this machine receive: a Unix socket of JSON lines."""

import fcntl
import logging
import os
import selectors
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    Event,
    HealthMessage,
    LevelMessage,
    MoodMessage,
    UtteranceMessage,
)
from affectd.daemon.speech.level import Meter

logger = logging.getLogger(__name__)

SOCKET: Final = "watch.sock"
MODE: Final = 0o660
MOST_READERS: Final = 16
BUFFER: Final = 2**17  # bytes that wait for a reader, in the kernel; who is further behind is left
LEVEL_S: Final = 0.09  # between two levels of a node: three frames
FULL: Final = "refused"  # the event that a reader too many gets


class Feed:
    """Hands each event of all nodes to whoever is connected, and on connecting the newest of each.

    Nothing waits for a reader: one that does not read fast enough is disconnected. A lock beside
    the socket tells one that a process has left behind from one that is served.
    """

    def __init__(self, path: Path) -> None:
        """path: where the socket is to be."""
        self._path = path
        self._lock = threading.Lock()  # guards what follows
        self._newest: dict[tuple[str, str], bytes] = {}  # by node and event
        self._readers: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._claim: int | None = None  # descriptor of the lock file
        self._thread: threading.Thread | None = None

    @property
    def is_watched(self) -> bool:
        """Whether there is a reader."""
        return bool(self._readers)

    def start(self) -> None:
        """Take connections from now on; if that cannot be, tell why and do without."""
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._listener = self._listen()
        except BlockingIOError:
            logger.warning(
                "another affectd is watched at %s, so this one is not; stop one of them, or give "
                "them an XDG_RUNTIME_DIR each",
                self._path,
            )
        except OSError as error:
            logger.warning(
                "%s cannot be made (%s), so `affectd watch` sees this service over MQTT alone; "
                "let this user write there",
                self._path,
                error.strerror or error,
            )
        else:
            self._thread = threading.Thread(
                target=self._serve, args=(self._listener,), name="feed", daemon=True
            )
            self._thread.start()

    def of(self, node: str) -> "NodeFeed":
        """The publisher of one node."""
        return NodeFeed(self, node)

    def send(self, event: str, node: str, message: bytes, is_state: bool = True) -> None:
        """Hand an event to all readers; message: JSON. is_state: later readers get it too."""
        line = msgspec.json.encode(Event(event, node, msgspec.Raw(message))) + b"\n"
        with self._lock:
            if is_state:
                self._newest[node, event] = line
            self._readers = [reader for reader in self._readers if _sent(reader, line)]

    def close(self) -> None:
        """Disconnect all, and leave nothing behind; safe to repeat."""
        if self._listener is not None and self._thread is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # which ends the thread
            self._thread.join()
            self._path.unlink(missing_ok=True)
            self._listener.close()
            self._listener = None
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _listen(self) -> socket.socket:
        """Bind the socket in place of one whose process has ended. Raises OSError.

        BlockingIOError says that its process lives.
        """
        self._claim = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(self._path))
            self._path.chmod(MODE)
            listener.listen(MOST_READERS)
        except OSError:
            listener.close()
            raise
        return listener

    def _serve(self, listener: socket.socket) -> None:
        """Take readers, and see them off, until the listener is shut down."""
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is not listener:
                        # It has gone, was disconnected, or speaks, which no reader does.
                        selector.unregister(key.fileobj)
                        self._part(key.fileobj)  # type: ignore[arg-type]
                        continue
                    try:
                        reader, _ = listener.accept()
                    except OSError:
                        self._part_all()
                        return
                    if self._greet(reader):
                        selector.register(reader, selectors.EVENT_READ)

    def _greet(self, reader: socket.socket) -> bool:
        """Send a new reader the newest states; tell whether it stays."""
        reader.setblocking(False)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        with self._lock:
            if len(self._readers) < MOST_READERS:
                # As one piece, so that small states do not fill the buffer.
                if _sent(reader, b"".join(self._newest.values())):
                    self._readers.append(reader)
                    return True
            else:
                why = f"{MOST_READERS} others watch already; close one"
                _sent(reader, msgspec.json.encode(Event(FULL, "", _json(why))) + b"\n")
        reader.close()
        return False

    def _part(self, reader: socket.socket) -> None:
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)
        reader.close()

    def _part_all(self) -> None:
        with self._lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()


class NodeFeed:
    """One node's publisher, and its level, which costs nothing while nobody watches."""

    def __init__(self, feed: Feed, node: str) -> None:
        self._feed, self._node = feed, node
        self._meter = Meter()
        self._due_s = 0.0  # when the next level is to be told

    def utterance(self, message: UtteranceMessage) -> None:
        """Tell a reading."""
        self._feed.send("utterance", self._node, msgspec.json.encode(message))

    def mood(self, message: MoodMessage) -> None:
        """Tell the mood."""
        self._feed.send("mood", self._node, msgspec.json.encode(message))

    def speech(self, is_speaking: bool) -> None:
        """Tell whether someone is speaking."""
        self._feed.send("speech", self._node, b'"ON"' if is_speaking else b'"OFF"')

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Tell what was read of an utterance, to those who are here now."""
        self._feed.send("diagnostics", self._node, msgspec.json.encode(message), is_state=False)

    def health(self, message: HealthMessage) -> None:
        """Tell how the node is doing."""
        self._feed.send("health", self._node, msgspec.json.encode(message))

    def hear(self, samples: NDArray[np.int16], is_voiced: bool) -> None:
        """Take what was heard, perhaps nothing, and tell its level now and then if watched."""
        if not self._feed.is_watched:
            return
        if not samples.size:  # it is paused or lost: what follows has a level of its own
            self._meter.read()
            return
        self._meter.push(samples, is_voiced)
        if (now_s := time.monotonic()) < self._due_s:
            return
        self._due_s = now_s + LEVEL_S
        if (level := self._meter.read()) is not None:
            message = LevelMessage(self._node, round(level[0], 1), level[1])
            self._feed.send("level", self._node, msgspec.json.encode(message), is_state=False)


def _json(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def _sent(reader: socket.socket, data: bytes) -> bool:
    """Whether all of it found room at once; if not, the reader is disconnected."""
    try:
        if reader.send(data, socket.MSG_NOSIGNAL) == len(data):
            return True
    except OSError:  # it is gone, or too far behind
        pass
    with suppress(OSError):
        reader.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes it
    return False
