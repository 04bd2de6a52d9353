"""The service's own log in systemd's journal, with fields that `journalctl` finds lines by."""

import logging
from collections.abc import Iterator
from typing import Any, Final

from logging_journald import JournaldTransport

from affectd.daemon.events import Event

IDENTIFIER: Final = "affectd"
PRIORITIES: Final = {  # of syslog(3), by what Python calls at least so severe
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


class JournalHandler(logging.Handler):
    """Hands each record to journald, and never waits for it.

    A record that it does not take at once, as it stands still or is away, is dropped; how many were
    is told with the next one. Source: systemd.io/JOURNAL_NATIVE_PROTOCOL.
    """

    def __init__(self) -> None:
        super().__init__()
        # Not connected: its socket is found again when journald has made it anew.
        self._transport = JournaldTransport(connected=False)
        self._transport.socket.setblocking(False)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            if self._dropped:
                self._send(_missing(self._dropped))
                self._dropped = 0
            self._send(record)
        except OSError:
            self._dropped += 1
        except Exception:  # a line that cannot be formatted, as for logging's own handlers
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._transport.socket.close()
        super().close()

    def _send(self, record: logging.LogRecord) -> None:
        self._transport.send(fields(record, self.format(record)))


def _missing(count: int) -> logging.LogRecord:
    message = "%d line(s) did not reach the journal, as it did not take them"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (count,), None)


def fields(record: logging.LogRecord, message: str) -> Iterator[tuple[str, Any]]:
    """A record as the journal's fields. Source: systemd.journal-fields(7)."""
    yield "MESSAGE", message.encode(errors="backslashreplace").decode()
    yield "PRIORITY", next((p for level, p in PRIORITIES.items() if record.levelno >= level), 7)
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    yield "LOGGER", record.name
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", record.lineno
    yield "CODE_FUNC", record.funcName
    yield "THREAD_NAME", record.threadName
    if node := getattr(record, "node", None):
        yield "AFFECTD_NODE", node
    if isinstance(event := getattr(record, "event", None), Event):
        yield "AFFECTD_EVENT", event.name.lower()
        yield "MESSAGE_ID", event.value
