"""What systemd is told: ready, what is heard, and that the service is alive."""

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from affectd.daemon.capture.source import Hearing

logger = logging.getLogger(__name__)

GRACE_S: Final = 10.0  # after which a service that hears nothing yet is ready all the same


class Supervisor:
    """Speaks systemd's notification protocol; says nothing where there is no systemd.

    It is told of each turn of each node's service. As a turn needs frames that arrive, or a
    microphone that is lawfully looked for or paused, a service that hangs anywhere is not alive and
    is restarted. Safe to use from the threads of all nodes. Source: sd_notify(3).
    """

    def __init__(self, environment: Mapping[str, str], nodes: Sequence[str]) -> None:
        """nodes: that take turns here, by name."""
        self._lock = threading.Lock()
        self._hearing: dict[str, Hearing | None] = dict.fromkeys(nodes)
        self._turned: set[str] = set()  # since it was told that all are alive
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every_s = _watchdog_s(environment) / 3
        self._began_s = time.monotonic()
        self._is_ready = False
        self._alive_s = float("-inf")  # when that was told last
        self._status = ""
        self._is_failing = False

    def turn(self, node: str, hearing: Hearing) -> None:
        """Take that the service of a node has turned over, and how it hears."""
        with self._lock:
            self._hearing[node] = hearing
            self._turned.add(node)
            self._send(self._news(time.monotonic()))

    def follow(self, nodes: Sequence[str]) -> None:
        """Take that other nodes take turns from now on; ready is told again when they hear."""
        with self._lock:
            self._hearing = dict.fromkeys(nodes)
            self._turned.clear()
            self._began_s, self._is_ready = time.monotonic(), False
        self.alive()

    def reloading(self) -> None:
        """Say that the configuration is read again: `reloaded` or `follow` must come next."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(["RELOADING=1", f"MONOTONIC_USEC={now_us}"])
        self.alive()

    def reloaded(self) -> None:
        """Say that all nodes go on as they were."""
        with self._lock:
            if self._is_ready:
                self._send(["READY=1"])

    def alive(self) -> None:
        """Say that the service is alive though no node takes a turn, as they begin or end."""
        if self._every_s:
            self._send(["WATCHDOG=1"])

    def _news(self, now_s: float) -> list[str]:
        lines = []
        if not self._is_ready and (self._all_hear() or now_s - self._began_s >= GRACE_S):
            self._is_ready = True
            lines.append("READY=1")
        is_due = self._every_s and now_s - self._alive_s >= self._every_s
        if is_due and self._turned >= self._hearing.keys():
            self._alive_s = now_s
            self._turned.clear()
            lines.append("WATCHDOG=1")
        status = self._told()
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        return lines

    def _told(self) -> str:
        """What all nodes hear, in one line."""
        told = {
            node: " ".join(part for part in (one.state, one.device, one.reason) if part)
            for node, one in self._hearing.items()
            if one is not None
        }
        if len(self._hearing) == 1:
            return next(iter(told.values()), "")
        return "; ".join(f"{node}: {text}" for node, text in told.items())

    def _all_hear(self) -> bool:
        return all(
            one is not None and one.state in ("listening", "silent", "paused")
            for one in self._hearing.values()
        )

    def stopping(self) -> None:
        """Say that the service ends by intention."""
        self._send(["STOPPING=1"])

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
