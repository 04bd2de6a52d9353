"""A short connection to the broker for a command, beside a running affectd's."""

import queue
import secrets
import ssl
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from affectd.daemon.errors import BrokerError, BrokerRefusesError
from affectd.daemon.publish.connection import QOS, new_client, refusal, tls_context
from affectd.daemon.settings import Mqtt

ANSWER_S: Final = 10.0  # for the broker to answer
ECHO_S: Final = 3.0  # for a message to come back after it was acknowledged


class Session:
    """A connection under a name of its own, without a last will, that waits for each answer."""

    def __init__(self, settings: Mqtt, password: str | None) -> None:
        """Raises SettingsError if the settings can never work."""
        self._settings = settings
        self._broker = f"the MQTT broker {settings.host}:{settings.port}"
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._retained: dict[str, bytes] = {}
        self._awaited = (b"", threading.Event())  # a payload, and that it has come
        client_id = f"affectd-{secrets.token_hex(4)}"
        self._client = client = new_client(settings, client_id, password, tls_context(settings))
        client.on_connect = lambda *args: self._answers.put(args[3])
        client.on_disconnect = lambda *_: self._answers.put(None)
        client.on_subscribe = lambda *args: self._answers.put(args[3])
        client.on_unsubscribe = lambda *args: self._answers.put(args[2])
        client.on_publish = lambda *args: self._answers.put((args[2], args[3]))
        client.on_message = self._on_message

    def __enter__(self) -> Self:
        """Connect. Raises BrokerError if that fails, and BrokerRefusesError if it is refused."""
        try:
            self._client.connect(self._settings.host, self._settings.port)
        except (OSError, ValueError) as error:  # ValueError: of a WebSocket that is none
            raise BrokerError(
                f"{self._broker} cannot be reached: {error}; check mqtt.host and mqtt.port"
            ) from error
        self._client.loop_start()
        try:
            reason: ReasonCode = self._answer()
            if reason.is_failure:
                raise BrokerRefusesError(f"{self._broker} {refusal(reason)}")
        except BrokerError:
            self._client.loop_stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def certificate_until_s(self) -> float | None:
        """When the broker's certificate ends, in seconds since 1970; None without TLS over TCP."""
        channel = self._client.socket()
        shown = channel.getpeercert() if isinstance(channel, ssl.SSLSocket) else None
        return ssl.cert_time_to_seconds(str(shown["notAfter"])) if shown else None

    def subscribe(self, topics: Sequence[str]) -> dict[str, ReasonCode]:
        """Subscribe at QoS 0; return those that the broker refuses."""
        self._client.subscribe([(topic, 0) for topic in topics])
        answer: list[ReasonCode] = self._answer()
        told = zip(topics, answer, strict=False)
        return {topic: reason for topic, reason in told if reason.is_failure}

    def retained(self, topics: Sequence[str]) -> dict[str, bytes]:
        """What topics hold that match; what may not be subscribed seems to hold nothing.

        A broker sends at QoS 0 what is retained before it answers what is asked later.
        """
        self._retained = {}
        self.subscribe(topics)
        self._client.unsubscribe(list(topics))
        self._answer()
        return dict(sorted(self._retained.items()))

    def publish(
        self, topics: Iterable[str], payload: bytes, retain: bool = False
    ) -> dict[str, ReasonCode]:
        """Publish the same on topics; return those that the broker refuses, as MQTT 5 tells."""
        sent = {self._client.publish(topic, payload, QOS, retain).mid: topic for topic in topics}
        refused = {}
        for _ in sent:
            number, reason = self._answer()
            if reason.is_failure:
                refused[sent[number]] = reason
        return refused

    def comes_back(self, topic: str, payload: bytes) -> bool:
        """Publish and tell whether that arrives here: it may be neither sent nor heard."""
        came = threading.Event()
        self._awaited = payload, came
        self.subscribe([topic])
        self.publish([topic], payload)
        return came.wait(ECHO_S)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        payload, came = self._awaited
        if message.retain and message.payload:
            self._retained[message.topic] = bytes(message.payload)
        elif payload and message.payload == payload:
            came.set()

    def _answer(self) -> Any:
        """What the broker answers next. Raises BrokerError if it does not."""
        try:
            answer = self._answers.get(timeout=ANSWER_S)
        except queue.Empty:
            answer = None
        if answer is None:
            raise BrokerError(
                f"{self._broker} does not answer as an MQTT broker; check mqtt.port, mqtt.version "
                "and whether it wants mqtt.tls"
            )
        return answer
