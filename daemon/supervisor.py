"""What systemd is told: ready, what is heard, and that the service is alive."""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

from affectd.daemon.capture.source import Hearing

logger = logging.getLogger(__name__)

GRACE_S: Final = 10.0  # after which a service that hears nothing yet is ready all the same


class Supervisor:
    """Speaks systemd's notification protocol; says nothing where there is no systemd.

    It is told of each turn of the service. As a turn needs frames that arrive, or a microphone that
    is lawfully looked for or paused, a service that hangs anywhere is not alive and is restarted.
    Source: sd_notify(3).
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every_s = _watchdog_s(environment) / 3
        self._began_s = time.monotonic()
        self._is_ready = False
        self._alive_s = float("-inf")  # when that was told last
        self._status = ""
        self._is_failing = False

    def turn(self, hearing: Hearing) -> None:
        """Take that the service has turned over, and how it hears."""
        now_s = time.monotonic()
        lines = []
        if not self._is_ready and self._hears_or_waited(hearing, now_s):
            self._is_ready = True
            lines.append("READY=1")
        if self._every_s and now_s - self._alive_s >= self._every_s:
            self._alive_s = now_s
            lines.append("WATCHDOG=1")
        status = " ".join(part for part in (hearing.state, hearing.device, hearing.reason) if part)
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        self._send(lines)

    def stopping(self) -> None:
        """Say that the service ends by intention."""
        self._send(["STOPPING=1"])

    def _hears_or_waited(self, hearing: Hearing, now_s: float) -> bool:
        hears = hearing.state in ("listening", "silent", "paused")
        return hears or now_s - self._began_s >= GRACE_S

    def _send(self, lines: list[str]) -> None:
        if not self._address or not lines:
            return
        address = self._address
        if address.startswith("@"):  # the abstract namespace
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if not self._is_failing:
                logger.warning("systemd cannot be told anything (%s)", error)
            self._is_failing = True
        else:
            self._is_failing = False


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Within which time systemd wants to hear that this process is alive; 0 if it does not."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0
