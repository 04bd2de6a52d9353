"""What signals do, in a thread of its own; and whether the terminal is still there."""

import os
import signal
import threading
from collections.abc import Callable, Mapping


def on_signals(actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
    """Do what belongs to a signal whenever it comes, in a thread of its own.

    A handler would interrupt the main thread anywhere, perhaps while it holds the lock of what the
    action wants; and it comes late if the system gives the signal to another thread while the main
    one waits for something. So the system's own handler, in whatever thread, writes into a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def act() -> None:
        while True:
            for number in os.read(reader, 64):
                if (action := actions.get(signal.Signals(number))) is not None:
                    action()

    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for one in actions:
        signal.signal(one, lambda *_: None)
    threading.Thread(target=act, name="signals", daemon=True).start()


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    on_signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set})
    return stop


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
