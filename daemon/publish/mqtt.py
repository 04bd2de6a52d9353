"""One node on an MQTT broker: its readings, its states, and what it is told."""

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from affectd import __version__
from affectd.daemon.control import Control
from affectd.daemon.errors import CommandError
from affectd.daemon.events import Event, about
from affectd.daemon.publish import commands
from affectd.daemon.publish.connection import LONGEST_PAUSE_S, QOS, Connection, Received
from affectd.daemon.publish.home_assistant import Discovery
from affectd.daemon.publish.journal import Journal, Unsent
from affectd.daemon.publish.messages import (
    CommandResult,
    DiagnosticsMessage,
    HealthMessage,
    HistoryMessage,
    MoodMessage,
    UtteranceMessage,
    iso,
)
from affectd.daemon.settings import HomeAssistantSettings, Mqtt

logger = logging.getLogger(__name__)

FAREWELL_S: Final = 5.0  # for the last messages to be acknowledged
LISTENING: Final = {b"ON": True, b"OFF": False}
NO_DISCOVERY: Final = HomeAssistantSettings(discovery="off")
PAGE: Final = 100  # readings of the journal that are held at a time
SETTLE_S: Final = 0.5  # after a connection, for retained messages to arrive before the answer
JITTER_S: Final = 5.0  # after Home Assistant's birth at most: nodes do not all come at once
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the broker has not acknowledged yet."""

    topic: str
    reading: str | None = None  # its id, if it is one


@dataclass(slots=True)
class Replay:
    """What is still to be sent on `history` on this connection."""

    until: int = 0  # the newest row of the journal when it was made
    after: int = 0  # the last row that was fetched
    page: deque[Unsent] = field(default_factory=deque)
    due_s: float = NEVER  # when the next is to be sent


class MqttPublisher:
    """One node's connection; every call returns at once, whatever the broker does.

    A reading enters the journal before it is published and leaves it when the broker has
    acknowledged it. On `utterance` it goes once at most, when it is made; what the broker did not
    acknowledge goes on `history` at the next connection. Retained states are sent again on each.
    """

    def __init__(
        self,
        settings: Mqtt,
        node: str,
        password: str | None,
        journal: Journal | None = None,
        control: Control | None = None,
        home_assistant: HomeAssistantSettings = NO_DISCOVERY,
    ) -> None:
        """Prepare the connection. Raises SettingsError if the settings can never work.

        journal: keeps readings for a broker that is away; without it they are lost. control: takes
        what the node is told.
        """
        self._node, self._journal, self._control = node, journal, control or Control()
        self._topic = f"{settings.root}/{node}"
        self._every_s = 1 / settings.history_per_s
        self._discovery = (
            None
            if home_assistant.discovery == "off"
            else Discovery(
                home_assistant.discovery, node, settings.root, __version__, home_assistant.prefix
            )
        )
        topics = [f"{self._topic}/listening/set", f"{self._topic}/command/+"]
        topics += self._discovery.subscriptions if self._discovery else ()
        self._connection = Connection(settings, node, password, topics, self)
        # Guards what follows, up to the events. acknowledged() must not take it.
        self._lock = threading.Lock()
        self._retained: dict[str, bytes] = {}  # name -> newest state
        self._client: paho.Client | None = None  # while connected
        self._awaited: dict[tuple[paho.Client, int], Sent] = {}  # by client and its number
        self._replay = Replay()
        self._announce_s = NEVER  # when Home Assistant is to be told
        self._unkept = 0  # readings that found neither broker nor journal
        self._is_ending = False
        self._acknowledged: list[str] = []  # ids for the journal, of the events that are handled
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to connect, in threads of its own."""
        self._worker.start()
        self._connection.start()

    def wait_until_connected(self, timeout_s: float) -> bool:
        """Wait for the broker; tell whether it is there."""
        return self._connection.is_up.wait(timeout_s)

    def stop(self) -> None:
        """Say offline, wait until the broker has acknowledged everything, and disconnect."""
        with self._lock:
            client = self._client
            self._is_ending = True  # a connection that comes now does not say online
        if client is not None:
            _wait_for(client.publish(f"{self._topic}/status", b"offline", QOS, retain=True))
            client.disconnect()
        self._events.put(None)
        self._worker.join(FAREWELL_S)
        self._connection.stop(FAREWELL_S)
        if self._unkept:
            logger.warning(
                "%d reading(s) did not reach the MQTT broker", self._unkept, extra=about(self._node)
            )

    def utterance(self, message: UtteranceMessage) -> None:
        """Keep one reading, and publish it if the broker is there; not retained."""
        with self._lock:
            is_kept = self._journal is not None and self._journal.add(message)
            is_sent = self._send("utterance", msgspec.json.encode(message), reading=message.id)
            if not is_kept and not is_sent:
                self._unkept += 1

    def mood(self, message: MoodMessage) -> None:
        """Publish the mood, retained."""
        self._retain("mood", msgspec.json.encode(message))

    def speech(self, is_speaking: bool) -> None:
        """Publish whether someone is speaking now, retained."""
        self._retain("speech", b"ON" if is_speaking else b"OFF")

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Publish what was read of an utterance, not retained."""
        with self._lock:
            self._send("diagnostics", msgspec.json.encode(message))

    def health(self, message: HealthMessage) -> None:
        """Publish how the node is doing, and whether it may listen, both retained."""
        self._retain("health", msgspec.json.encode(message))
        self._retain("listening", b"OFF" if message.listening == "paused" else b"ON")

    def up(self, client: paho.Client) -> bool:
        """Say online, and send all states; what the journal holds will follow."""
        with self._lock:
            if self._is_ending:
                return False
            self._client = client
            self._send_states()
            unkept, self._unkept = self._unkept, 0
            unsent = 0 if self._journal is None else self._journal.count_pending(self._node)
            if self._journal is not None:
                self._replay = Replay(until=self._journal.newest(), due_s=time.monotonic())
            self._announce_s = time.monotonic() + SETTLE_S
        if unkept:
            logger.warning(
                "%d reading(s) made while it was away are in the log only",
                unkept,
                extra=about(self._node),
            )
        if unsent:
            topic = f"{self._topic}/history"
            logger.info(
                "%d reading(s) made while it was away go on %s",
                unsent,
                topic,
                extra=about(self._node),
            )
        # The worker waits for something to happen: now there is something to send.
        self._events.put(lambda: None)
        return True

    def down(self) -> None:
        """Publish nothing more until there is another client."""
        with self._lock:
            client, self._client = self._client, None
            self._replay, self._announce_s = Replay(), NEVER
        if client is not None:  # after what it has still acknowledged
            self._events.put(partial(self._give_up, client))

    def troubled(self, complaint: str) -> None:
        """Log it."""
        logger.warning(
            "the MQTT broker %s (listening goes on, readings are kept, and connecting is tried "
            "again at least every %d s)",
            complaint,
            LONGEST_PAUSE_S,
            extra=about(self._node, Event.BROKER_DOWN),
        )

    def acknowledged(self, client: paho.Client, number: int, reason: ReasonCode) -> None:
        """Have the worker take note."""
        self._events.put(partial(self._settle, client, number, reason))

    def received(self, message: Received) -> None:
        """Obey what is for this node, and note what Home Assistant says."""
        name = message.topic.removeprefix(f"{self._topic}/")
        if name == "listening/set":
            self._listen(message)
        elif name.startswith("command/") and name != "command/result":
            self._obey(name.removeprefix("command/"), message)
        elif self._discovery is not None:
            self._events.put(partial(self._follow_home_assistant, self._discovery, message))

    def _listen(self, message: Received) -> None:
        may = LISTENING.get(message.payload)
        try:
            if message.is_retained:
                raise CommandError("it is retained, so it may be old")
            if may is None:
                raise CommandError("it is neither ON nor OFF")
            self._control.listen(may)
        except CommandError as error:
            logger.warning(
                "a message on %s is not obeyed: %s", message.topic, error, extra=about(self._node)
            )

    def _obey(self, name: str, message: Received) -> None:
        problem = ""
        try:
            command = commands.parse(name, message.payload, message.is_retained)
            self._control.obey(command)
        except CommandError as error:
            problem = str(error)
            logger.warning(
                "a message on %s is not obeyed: %s", message.topic, problem, extra=about(self._node)
            )
        caller, now = commands.caller(message.payload), iso(time.time())
        result = CommandResult(caller, name, not problem, problem, self._node, now)
        with self._lock:
            payload = msgspec.json.encode(result)
            self._send("command/result", payload, correlation=message.correlation)

    def _retain(self, name: str, payload: bytes) -> None:
        with self._lock:
            self._retained[name] = payload
            self._send(name, payload, retain=True)

    def _send_states(self) -> None:
        self._send("status", b"online", retain=True)
        for name, payload in self._retained.items():
            self._send(name, payload, retain=True)

    def _send(self, name: str, payload: bytes, **more: Any) -> bool:
        """Publish below the node's topic; as below."""
        return self._publish(f"{self._topic}/{name}", payload, **more)

    def _publish(
        self,
        topic: str,
        payload: bytes,
        retain: bool = False,
        reading: str | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Give a message to the client, with the lock held; tell whether there is one."""
        if self._client is None:
            return False
        properties = None
        if correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        sent = self._client.publish(topic, payload, QOS, retain, properties)
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            return False
        self._awaited[self._client, sent.mid] = Sent(topic, reading)
        return True

    def _work(self) -> None:
        """Handle events, tell Home Assistant when it is time, and send the journal's readings."""
        while True:
            due_s = min(self._announce_s, self._replay.due_s)
            try:
                event = self._events.get(timeout=min(60.0, max(0.0, due_s - time.monotonic())))
                while event is not None:
                    event()
                    event = self._events.get_nowait()
                self._note_acknowledged()
                return
            except queue.Empty:
                self._note_acknowledged()
            self._announce_if_due()
            self._replay_if_due()

    def _settle(self, client: paho.Client, number: int, reason: ReasonCode) -> None:
        with self._lock:
            sent = self._awaited.pop((client, number), None)
        if sent is None:
            return
        if reason.is_failure:
            self._connection.tell_refusal("publish on", sent.topic, reason)
        elif sent.reading is not None:
            self._acknowledged.append(sent.reading)

    def _give_up(self, client: paho.Client) -> None:
        """Forget what a client that is gone was given; the journal has what are readings."""
        with self._lock:
            gone = [key for key in self._awaited if key[0] is client]
            lost = [self._awaited.pop(key) for key in gone]
            if self._journal is None:
                self._unkept += sum(sent.reading is not None for sent in lost)

    def _note_acknowledged(self) -> None:
        if self._acknowledged and self._journal is not None:
            self._journal.acknowledge(self._acknowledged)
        self._acknowledged = []

    def _replay_if_due(self) -> None:
        """Send the next reading on `history`, in the order in which they were made."""
        with self._lock:
            replay, journal = self._replay, self._journal
            if journal is None or replay.due_s > time.monotonic():
                return
            if not replay.page:
                more = journal.pending(self._node, PAGE, after=replay.after, up_to=replay.until)
                replay.page.extend(more)
            if not replay.page:
                replay.due_s = NEVER
                return
            reading = replay.page.popleft()
            replay.after, replay.due_s = reading.entry, time.monotonic() + self._every_s
            message = HistoryMessage(**msgspec.structs.asdict(reading.message))
            self._send("history", msgspec.json.encode(message), reading=message.id)

    def _follow_home_assistant(self, discovery: Discovery, message: Received) -> None:
        if discovery.is_birth(message.topic, message.payload) and not message.is_retained:
            wait_s = random.uniform(0, JITTER_S)  # noqa: S311
        elif discovery.found(message.topic, message.payload, message.is_retained):
            wait_s = SETTLE_S
        else:
            return
        self._announce_s = min(self._announce_s, time.monotonic() + wait_s)

    def _announce_if_due(self) -> None:
        """Tell Home Assistant of the node; its states are retained, and so they are there."""
        with self._lock:
            if self._announce_s > time.monotonic():
                return
            self._announce_s = NEVER
            if self._discovery is None or self._client is None:
                return
            for message in self._discovery.messages():
                self._publish(message.topic, message.payload, message.retain)


def _wait_for(message: paho.MQTTMessageInfo) -> None:
    try:
        message.wait_for_publish(FAREWELL_S)
    except RuntimeError:  # the connection has just ended: what is missing is kept
        return
