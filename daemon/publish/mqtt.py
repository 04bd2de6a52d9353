"""Readings, mood and speech to an MQTT broker; keeps trying while the broker is away."""

import logging
import ssl
import sys
import threading
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.errors import SettingsError
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage
from affectd.daemon.settings import Mqtt

logger = logging.getLogger(__name__)

ROOT: Final = "affectd"
QOS: Final = 1
KEEPALIVE_S: Final = 30
LONGEST_PAUSE_S: Final = 60  # between two attempts to connect
FAREWELL_S: Final = 5.0  # for the last messages to be acknowledged


class MqttPublisher:
    """One node's connection; every call returns at once, whatever the broker does.

    Retained states are sent again on each connection. A reading made while the broker is away is
    not sent later, as a listener would take it for a new one; it is in the log of readings.
    """

    def __init__(self, settings: Mqtt, node: str, password: str | None) -> None:
        """Prepare the connection. Raises SettingsError if host or ca_file cannot be used."""
        self._topic = f"{ROOT}/{node}"
        self._broker = f"{settings.host}:{settings.port}"
        self._retained: dict[str, bytes] = {}  # topic -> newest state
        self._connected = threading.Event()
        self._complaint = ""
        self._unsent = 0  # readings made while the broker was away
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"affectd-{node}")
        self._client.username_pw_set(settings.username, password)
        self._client.will_set(f"{self._topic}/status", b"offline", QOS, retain=True)
        self._client.reconnect_delay_set(min_delay=1, max_delay=LONGEST_PAUSE_S)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        if settings.tls:
            _use_tls(self._client, settings.ca_file)
        elif settings.ca_file is not None:
            raise SettingsError("mqtt.ca_file is set, but mqtt.tls is false; set it to true")
        try:
            settings.host.encode("idna")
            self._client.connect_async(settings.host, settings.port, KEEPALIVE_S)
        except ValueError as error:
            raise SettingsError(
                f"mqtt.host is {settings.host!r}, which is no host name ({error}); "
                "give a name or an address alone, such as broker.lan or 192.0.2.7"
            ) from error

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._client.loop_start()

    def wait_until_connected(self, timeout_s: float) -> bool:
        """Wait for the broker; tell whether it is there."""
        return self._connected.wait(timeout_s)

    def stop(self) -> None:
        """Say offline, wait until the broker has everything, and disconnect."""
        if self._connected.is_set():
            farewell = self._client.publish(f"{self._topic}/status", b"offline", QOS, retain=True)
            try:
                farewell.wait_for_publish(FAREWELL_S)
            except RuntimeError as error:  # the broker went away just now
                logger.warning("%s did not take the last messages: %s", self._broker, error)
        self._client.disconnect()
        self._client.loop_stop()

    def utterance(self, message: UtteranceMessage) -> None:
        """Publish one reading, not retained."""
        if self._connected.is_set():
            self._client.publish(f"{self._topic}/utterance", msgspec.json.encode(message), QOS)
        else:
            self._unsent += 1

    def mood(self, message: MoodMessage) -> None:
        """Publish the mood, retained."""
        self._retain("mood", msgspec.json.encode(message))

    def speech(self, is_speaking: bool) -> None:
        """Publish whether someone is speaking now, retained."""
        self._retain("speech", b"ON" if is_speaking else b"OFF")

    def _retain(self, name: str, payload: bytes) -> None:
        self._retained[f"{self._topic}/{name}"] = payload
        if self._connected.is_set():
            self._client.publish(f"{self._topic}/{name}", payload, QOS, retain=True)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._complain(f"refused the connection: {reason}; check mqtt.username and password")
            return
        client.publish(f"{self._topic}/status", b"online", QOS, retain=True)
        for topic, payload in list(self._retained.items()):
            client.publish(topic, payload, QOS, retain=True)
        self._complaint = ""
        self._connected.set()
        logger.info("connected to the MQTT broker %s as %s", self._broker, self._topic)
        if self._unsent:
            logger.warning("%d reading(s) made while it was away are in the log only", self._unsent)
            self._unsent = 0

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._complain(f"cannot be reached: {sys.exception()}; check mqtt.host and mqtt.port")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if self._connected.is_set() and reason.is_failure:
            self._complain(f"went away: {reason}")
        self._connected.clear()

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


def _use_tls(client: paho.Client, ca_file: str | None) -> None:
    try:
        client.tls_set(ca_certs=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"mqtt.ca_file is {ca_file}, which cannot be used ({error}); "
            "give the certificate of the broker's authority in PEM form"
        ) from error
