"""Readings, mood and speech to an MQTT broker; keeps trying while the broker is away."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.errors import SettingsError
from affectd.daemon.publish.messages import HealthMessage, MoodMessage, UtteranceMessage
from affectd.daemon.settings import Mqtt, user_path

logger = logging.getLogger(__name__)

ROOT: Final = "affectd"
QOS: Final = 1
KEEPALIVE_S: Final = 30
FIRST_PAUSE_S: Final = 1.0  # between two attempts to connect; doubled up to
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 30.0  # a connection that lasted so long ends the doubling
ANSWER_S: Final = 10.0  # for a broker to answer a connection
FAREWELL_S: Final = 5.0  # for the last messages to be acknowledged
LISTENING: Final = {b"ON": True, b"OFF": False}


class MqttPublisher:
    """One node's connection; every call returns at once, whatever the broker does.

    Each connection is a session of its own: retained states are sent again on each, and nothing
    of an older one is repeated, as a listener would take an old reading for a new one. Readings
    that did not reach the broker are counted, and are in the log of readings.
    """

    def __init__(
        self,
        settings: Mqtt,
        node: str,
        password: str | None,
        listen: Callable[[bool], None] | None = None,
    ) -> None:
        """Prepare the connection. Raises SettingsError if host or ca_file cannot be used.

        listen: is told ON (True) and OFF (False) that arrive on listening/set.
        """
        self._listen = listen
        self._settings, self._node, self._password = settings, node, password
        self._topic = f"{ROOT}/{node}"
        self._broker = f"{settings.host}:{settings.port}"
        self._tls = _tls(settings)
        _check_host(settings.host)
        # Guards what follows, up to the threads. on_publish must not take it: paho calls that
        # under a lock which publish() takes too.
        self._lock = threading.Lock()
        self._retained: dict[str, bytes] = {}  # topic -> newest state
        self._client: paho.Client | None = None  # while connected
        self._sent: list[paho.MQTTMessageInfo] = []  # readings, until they are acknowledged
        self._unsent = 0  # readings that did not reach the broker
        self._complaint = ""
        self._refused = False  # by the broker, in so many words, on this connection
        self._connected, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def wait_until_connected(self, timeout_s: float) -> bool:
        """Wait for the broker; tell whether it is there."""
        return self._connected.wait(timeout_s)

    def stop(self) -> None:
        """Say offline, wait until the broker has acknowledged everything, and disconnect."""
        with self._lock:
            client = self._client
            if client is None:
                self._stopping.set()  # a connection that comes now does not say online
        if client is not None:
            _wait_for(client.publish(f"{self._topic}/status", b"offline", QOS, retain=True))
            client.disconnect()
        self._stopping.set()
        self._thread.join(FAREWELL_S)
        if self._unsent:
            logger.warning("%d reading(s) did not reach the MQTT broker", self._unsent)

    def utterance(self, message: UtteranceMessage) -> None:
        """Publish one reading, not retained."""
        payload = msgspec.json.encode(message)
        with self._lock:
            if self._client is None:
                self._unsent += 1
            else:
                sent = self._client.publish(f"{self._topic}/utterance", payload, QOS)
                self._sent = [*_unacknowledged(self._sent), sent]

    def mood(self, message: MoodMessage) -> None:
        """Publish the mood, retained."""
        self._retain("mood", msgspec.json.encode(message))

    def speech(self, is_speaking: bool) -> None:
        """Publish whether someone is speaking now, retained."""
        self._retain("speech", b"ON" if is_speaking else b"OFF")

    def health(self, message: HealthMessage) -> None:
        """Publish how the node is doing, and whether it may listen, both retained."""
        self._retain("health", msgspec.json.encode(message))
        self._retain("listening", b"OFF" if message.listening == "paused" else b"ON")

    def _retain(self, name: str, payload: bytes) -> None:
        with self._lock:
            self._retained[f"{self._topic}/{name}"] = payload
            if self._client is not None:
                self._client.publish(f"{self._topic}/{name}", payload, QOS, retain=True)

    def _keep_connected(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            began = time.monotonic()
            self._connect_once()
            pause_s = next_pause_s(pause_s, time.monotonic() - began)

    def _connect_once(self) -> None:
        """Hold one connection until it ends, or complain that there is none."""
        client, ended = self._new_client(), threading.Event()
        client.on_disconnect = lambda *args: self._on_disconnect(ended, args[3])
        try:
            client.connect(self._settings.host, self._settings.port, KEEPALIVE_S)
        except ssl.SSLError as error:
            self._complain(f"cannot be trusted: {error}; check mqtt.tls and mqtt.ca_file")
            return
        except OSError as error:
            self._complain(f"cannot be reached: {error}; check mqtt.host and mqtt.port")
            return
        client.loop_start()
        began = time.monotonic()
        while not ended.wait(0.5):
            mute = not self._connected.is_set() and time.monotonic() - began > ANSWER_S
            if self._stopping.is_set() or mute:
                client.disconnect()
        client.loop_stop()

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"affectd-{self._node}",
            reconnect_on_failure=False,
        )
        client.username_pw_set(self._settings.username, self._password)
        client.will_set(f"{self._topic}/status", b"offline", QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused = True
            self._complain(f"refused the connection: {reason}; check mqtt.username and password")
            return
        with self._lock:
            if self._stopping.is_set():
                return
            client.publish(f"{self._topic}/status", b"online", QOS, retain=True)
            for topic, payload in self._retained.items():
                client.publish(topic, payload, QOS, retain=True)
            self._client, self._complaint = client, ""
            unsent, self._unsent = self._unsent, 0
        if self._listen is not None:
            client.subscribe(f"{self._topic}/listening/set", QOS)
        self._connected.set()
        logger.info("connected to the MQTT broker %s as %s", self._broker, self._topic)
        if unsent:
            logger.warning("%d reading(s) made while it was away are in the log only", unsent)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """Obey a command; a retained one may be years old."""
        may = LISTENING.get(bytes(message.payload))
        if message.retain or may is None or self._listen is None:
            why = "it is retained" if message.retain else "it is neither ON nor OFF"
            logger.warning("a message on %s is not obeyed: %s", message.topic, why)
        else:
            self._listen(may)

    def _on_disconnect(self, ended: threading.Event, reason: Any) -> None:
        with self._lock:
            was_connected, refused = self._client is not None, self._refused
            self._refused = False
            self._client = None
            self._unsent += len(_unacknowledged(self._sent))
            self._sent = []
        self._connected.clear()
        if was_connected and reason.is_failure:
            self._complain(
                f"went away: {reason}; if that goes on, see whether another affectd is called "
                f"{self._node} too"
            )
        elif not was_connected and not refused and not self._stopping.is_set():
            self._complain(
                "takes the connection, but does not answer as an MQTT broker; "
                "check mqtt.port and whether it wants mqtt.tls"
            )
        ended.set()

    def _complain(self, complaint: str) -> None:
        """Log a problem with the broker once, not at every attempt."""
        if complaint != self._complaint:
            self._complaint = complaint
            logger.warning(
                "the MQTT broker %s %s (listening goes on, readings are logged, "
                "and connecting is tried again at least every %d s)",
                self._broker,
                complaint,
                LONGEST_PAUSE_S,
            )


def next_pause_s(pause_s: float, lasted_s: float) -> float:
    """How long to wait before the next attempt, after one whose connection lasted so long."""
    if lasted_s >= STEADY_S or pause_s == 0:
        return FIRST_PAUSE_S
    return min(2 * pause_s, LONGEST_PAUSE_S)


def _unacknowledged(sent: list[paho.MQTTMessageInfo]) -> list[paho.MQTTMessageInfo]:
    return [message for message in sent if message.rc or not message.is_published()]


def _wait_for(message: paho.MQTTMessageInfo) -> None:
    try:
        message.wait_for_publish(FAREWELL_S)
    except RuntimeError:  # the connection has just ended: what is missing is counted
        return


def _check_host(host: str) -> None:
    remedy = "give a name or an address alone, such as broker.lan or 192.0.2.7"
    if set(host) & set("/@ ") or host.count(":") == 1:
        raise SettingsError(f"mqtt.host is {host!r}, which is more than a host; {remedy}")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise SettingsError(
            f"mqtt.host is {host!r}, which is no host name ({error}); {remedy}"
        ) from error


def _tls(settings: Mqtt) -> ssl.SSLContext | None:
    if not settings.tls:
        if settings.ca_file is not None:
            raise SettingsError("mqtt.ca_file is set, but mqtt.tls is false; set it to true")
        return None
    ca_file = None if settings.ca_file is None else user_path(settings.ca_file)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"mqtt.ca_file is {ca_file}, which cannot be used ({error}); "
            "give the certificate of the broker's authority in PEM form"
        ) from error
