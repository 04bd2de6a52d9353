"""A terminal, as programs see it, that tests can look at."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence

import pyte

HIDDEN = termios.ECHO | termios.ICANON  # what a program that reads keys turns off


class Terminal:
    """A program on a terminal of its own."""

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], rows: int = 24, columns: int = 80
    ) -> None:
        self._lock = threading.Lock()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, self._slave = pty.openpty()
        self.resize(rows, columns)
        self.raw = b""
        self.process = subprocess.Popen(
            command,
            env=environment | {"TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What it shows now."""
        with self._lock:
            return "\n".join(self._screen.display)

    @property
    def is_plain(self) -> bool:
        """Whether keys are shown and read in lines, as a shell wants it."""
        flags: int = termios.tcgetattr(self._slave)[3]
        return flags & HIDDEN == HIDDEN

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        with self._lock:  # the screen would break if it changed while it takes something
            fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
            self._screen.resize(rows, columns)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def close(self) -> None:
        """Take it away."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        self._reader.join(20)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # the last program has ended
                return
            with self._lock:
                self.raw += data
                self._stream.feed(data)
