"""Runs all nodes until they are to stop, and wires them anew when the configuration has changed."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from affectd.daemon.capture.source import Source
from affectd.daemon.errors import AffectdError
from affectd.daemon.events import Event, about
from affectd.daemon.listening import Listening
from affectd.daemon.nodes import Parts, changes, check_log, prepare, wire
from affectd.daemon.service import Service
from affectd.daemon.settings import Settings
from affectd.daemon.supervisor import Supervisor

logger = logging.getLogger(__name__)


class Orders:
    """What the runner is told, from any thread."""

    def __init__(self) -> None:
        self.is_stopped = threading.Event()
        self._is_reload_due = threading.Event()
        self._is_news = threading.Event()

    def stop(self) -> None:
        """End."""
        self.is_stopped.set()
        self.wake()

    def reload(self) -> None:
        """Read the configuration again; told several times at once, that is done once."""
        self._is_reload_due.set()
        self.wake()

    def wake(self) -> None:
        """See what has happened."""
        self._is_news.set()

    def wait(self) -> None:
        """Wait for one of these."""
        self._is_news.wait()
        self._is_news.clear()

    def take_reload(self) -> bool:
        """Whether the configuration must be read again now; once for what was told until now."""
        if not self._is_reload_due.is_set():
            return False
        self._is_reload_due.clear()
        return True


class Runner:
    """Runs the nodes of a configuration, and then those of the one that it was changed to."""

    def __init__(
        self,
        load: Callable[[], Settings],
        hear: Callable[[Sequence[Settings]], Mapping[str, Source]],
        listening: Listening,
        orders: Orders,
        supervisor: Supervisor,
    ) -> None:
        """load: reads the configuration; hear: as for wire. Raises what load and prepare raise."""
        self._load, self._hear, self._listening = load, hear, listening
        self._orders, self._supervisor = orders, supervisor
        self._parts = prepare(load())  # of what runs, or is to run
        self._former: Parts | None = None  # of what ran before, until the new one does

    def run(self) -> None:
        """Run until it is told to stop or a node ends. Raises what wire and the services raise."""
        while self._run() and not self._orders.is_stopped.is_set():
            pass

    def _run(self) -> bool:
        """Run the nodes until they end; tell whether others are to run now."""
        set_level(self._parts.settings)
        stop, on_step = self._orders.is_stopped, self._supervisor.alive
        with ExitStack() as stack:
            try:
                services = wire(self._parts, self._hear, self._listening, stop, on_step, stack)
            except (AffectdError, OSError) as error:
                if self._former is None:
                    raise
                self._parts, self._former = self._former, None
                logger.error(
                    "the new configuration cannot run: %s; the former one goes on",
                    error,
                    extra=about(event=Event.RELOAD_REFUSED),
                )
                return True
            self._former = None
            self._supervisor.follow(list(services))
            others_are_due = self._attend(services)
            if not others_are_due:
                self._supervisor.stopping()
        return others_are_due

    def _attend(self, services: Mapping[str, Service]) -> bool:
        """Run the services until one of them ends, which ends all, or others are to run.

        Raises what one of them raises, when all have ended.
        """
        ended, orders = threading.Event(), self._orders
        with ThreadPoolExecutor(len(services), "node") as threads:
            running: list[Future[None]] = []
            for node, service in services.items():
                turn = partial(self._supervisor.turn, node)
                running.append(threads.submit(service.run, ended, turn))
                running[-1].add_done_callback(lambda _: orders.wake())
            others_are_due = False
            try:
                while not (others_are_due or orders.is_stopped.is_set()):
                    if any(one.done() for one in running):
                        break
                    if orders.take_reload():
                        others_are_due = self._reload()
                    else:
                        orders.wait()
            finally:
                ended.set()
        for one in running:
            one.result()
        return others_are_due

    def _reload(self) -> bool:
        """Read the configuration again; tell whether other nodes are to run."""
        self._supervisor.reloading()
        is_concerned = self._take(self._read())
        if not is_concerned:
            self._supervisor.reloaded()
        return is_concerned

    def _read(self) -> Parts | None:
        """What the configuration is now; None if it can never work."""
        try:
            parts = prepare(self._load())
            check_log(parts.settings.log)
        except (AffectdError, OSError) as error:
            logger.error(
                "the configuration is not taken: %s; the former one goes on",
                error,
                extra=about(event=Event.RELOAD_REFUSED),
            )
            return None
        return parts

    def _take(self, parts: Parts | None) -> bool:
        """Go over to another configuration; tell whether the nodes are concerned."""
        if parts is None:
            return False
        changed = changes(self._parts, parts)
        set_level(parts.settings)
        told = ", ".join(changed) or "nothing"
        extra = about(event=Event.RELOADED)
        logger.info("the configuration is read again: %s changed", told, extra=extra)
        if {*changed} <= {"log.level"}:
            self._parts = replace(self._parts, settings=parts.settings)
            return False
        self._parts, self._former = parts, self._parts
        return True


def set_level(settings: Settings) -> None:
    """What the service says of itself from now on."""
    logging.getLogger().setLevel(settings.log.level.upper())
