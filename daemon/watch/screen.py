"""A terminal that shows a scene until somebody has seen enough, and is left as it was."""

import logging
import os
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live

from affectd.daemon.watch.inbox import EndError, Inbox, Notice
from affectd.daemon.watch.picture import picture
from affectd.daemon.watch.scene import Scene

DRAW_S: Final = 0.1  # at least between two pictures
REST_S: Final = 1.0  # at most, as times and moods move on


def show(scene: Scene, inbox: Inbox) -> None:
    """Draw what the inbox brings on the whole terminal, until it ends."""
    for name in ("LINES", "COLUMNS"):  # they stay as they were when the terminal changes its size
        os.environ.pop(name, None)
    console = Console()
    with ExitStack() as stack:
        stack.enter_context(_keys(inbox))
        stack.enter_context(_notices(inbox))
        live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,  # nothing is printed, and bars ask it what it can show
            redirect_stderr=False,
        )
        stack.enter_context(live)
        try:
            _follow(scene, inbox, console, live)
        except EndError:
            return


def _follow(scene: Scene, inbox: Inbox, console: Console, live: Live) -> None:
    drawn_s, is_new = float("-inf"), True
    while True:
        wait_s = drawn_s + (DRAW_S if is_new else REST_S) - time.monotonic()
        if wait_s <= 0:
            live.update(picture(scene, time.time(), console.height), refresh=True)
            drawn_s, is_new = time.monotonic(), False
        elif (item := inbox.get(wait_s)) is not None:
            scene, is_new = scene.after(item, time.time()), True


@contextmanager
def _keys(inbox: Inbox) -> Iterator[None]:
    """Let q end it; what is typed is not shown."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    # A stop would leave the shell without a cursor.
    stop = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    tty.setcbreak(keyboard)
    threading.Thread(target=_read, args=(keyboard, inbox), name="keys", daemon=True).start()
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTSTP, stop)


def _read(keyboard: int, inbox: Inbox) -> None:
    while (key := os.read(keyboard, 1)) not in (b"q", b"Q", b""):
        del key
    inbox.end()


@contextmanager
def _notices(inbox: Inbox) -> Iterator[None]:
    """Show what is logged in place of writing it across the picture."""
    root = logging.getLogger()
    before, handler = root.handlers[:], _Notices(inbox)
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = before


class _Notices(logging.Handler):
    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox

    def emit(self, record: logging.LogRecord) -> None:
        self._inbox.put(Notice(record.getMessage()))
