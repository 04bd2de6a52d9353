"""A connection to an MQTT broker that is made again, without end, whenever there is none."""

import logging
import random
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from affectd.daemon.errors import SettingsError
from affectd.daemon.events import Event, about
from affectd.daemon.settings import Mqtt, user_path

logger = logging.getLogger(__name__)

QOS: Final = 1
KEEPALIVE_S: Final = 30
FIRST_PAUSE_S: Final = 1.0  # between two attempts to connect; doubled up to
LONGEST_PAUSE_S: Final = 60.0
JITTER: Final = 0.3  # a pause is shorter by this share at most: nodes do not all come at once
STEADY_S: Final = 30.0  # a connection that lasted so long ends the doubling
ANSWER_S: Final = 10.0  # for a broker to answer a connection
LARGEST: Final = 2**20  # bytes of a message that the broker may send, with MQTT 5
# What to do about a refusal, by its reason in MQTT 5, which paho also gives for 3.1.1.
REMEDIES: Final = {
    132: "set mqtt.version to 3.1.1",
    133: "set mqtt.client_id to another one",
    134: "check mqtt.username and mqtt.password_file",
    135: "check mqtt.username and mqtt.password_file, and the broker's access list",
}


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the broker."""

    topic: str
    payload: bytes
    is_retained: bool
    correlation: bytes | None = None  # of MQTT 5, to be sent back with the answer


class Peer(Protocol):
    """Who a connection is for; all is told in the client's thread."""

    def up(self, client: paho.Client) -> bool:
        """Take a client that is connected; tell whether the connection is still wanted."""

    def down(self) -> None:
        """Take that it is not any more."""

    def troubled(self, complaint: str) -> None:
        """Take why there is no connection, what follows `the MQTT broker` in a sentence; once."""

    def received(self, message: Received) -> None:
        """Take a message."""

    def acknowledged(self, client: paho.Client, number: int, reason: ReasonCode) -> None:
        """Take that the broker has a client's message, by its number, or refuses it.

        No lock may be waited for here that is held while publishing: paho holds one, too.
        """


class Connection:
    """Each connection is a session of its own: nothing of an older one is repeated."""

    def __init__(
        self,
        settings: Mqtt,
        name: str,
        password: str | None,
        topics: Sequence[str],
        peer: Peer,
        has_will: bool = True,
    ) -> None:
        """name: of the node, or of who listens. topics: to subscribe.

        has_will: the broker says that the node is offline when the connection has ended. Raises
        SettingsError if it can never work.
        """
        self._settings, self._name, self._password = settings, name, password
        self._topics, self._peer, self._has_will = topics, peer, has_will
        self._broker = f"{settings.host}:{settings.port}"
        self._tls = tls_context(settings)
        _check_host(settings.host)
        self._complaint = ""
        self._refused = False  # by the broker, in so many words, on this connection
        self._told: set[str] = set()  # topics that were told to be refused
        self.is_up, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """Disconnect for good."""
        self._stopping.set()
        self._thread.join(patience_s)

    def tell_refusal(self, what: str, topic: str, reason: ReasonCode) -> None:
        """Log that the broker refuses a topic, once for each; what: to do with it."""
        if topic not in self._told:
            self._told.add(topic)
            logger.error(
                "the MQTT broker %s does not let %s %s %s (%s); allow it in its access list",
                self._broker,
                self._settings.username or f"the client {_client_id(self._settings, self._name)}",
                what,
                topic,
                reason,
                extra=about(self._name),
            )

    def _keep(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s * random.uniform(1 - JITTER, 1)):  # noqa: S311
            began = time.monotonic()
            self._connect_once()
            pause_s = next_pause_s(pause_s, time.monotonic() - began)

    def _connect_once(self) -> None:
        """Hold one connection until it ends, or complain that there is none."""
        client, ended = self._new_client(), threading.Event()
        client.on_disconnect = lambda *args: self._on_disconnect(ended, args[3])
        try:
            client.connect(
                self._settings.host,
                self._settings.port,
                KEEPALIVE_S,
                properties=_limits() if self._settings.version == 5 else None,
            )
        except ssl.SSLError as error:
            self._complain(f"cannot be trusted: {error}; check mqtt.tls and mqtt.ca_file")
            return
        except (OSError, ValueError) as error:  # ValueError: of a WebSocket that is none
            self._complain(f"cannot be reached: {error}; check mqtt.host and mqtt.port")
            return
        client.loop_start()
        began = time.monotonic()
        while not ended.wait(0.5):
            mute = not self.is_up.is_set() and time.monotonic() - began > ANSWER_S
            if self._stopping.is_set() or mute:
                client.disconnect()
        client.loop_stop()

    def _new_client(self) -> paho.Client:
        settings = self._settings
        client_id = _client_id(settings, self._name)
        client = new_client(settings, client_id, self._password, self._tls)
        if self._has_will:
            client.will_set(f"{settings.root}/{self._name}/status", b"offline", QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = lambda *args: self._peer.acknowledged(args[0], args[2], args[3])
        return client

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused = True
            self._complain(refusal(reason))
            return
        if not self._peer.up(client):
            return
        self._complaint = ""
        if self._topics:
            client.subscribe([(topic, QOS) for topic in self._topics])
        self.is_up.set()
        topic = f"{self._settings.root}/{self._name}"
        extra = about(self._name, Event.BROKER_UP)
        logger.info("connected to the MQTT broker %s as %s", self._broker, topic, extra=extra)

    def _on_subscribe(
        self, _client: Any, _data: Any, _number: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        for topic, reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                self.tell_refusal("subscribe", topic, reason)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._peer.received(Received(topic, bytes(message.payload), message.retain, correlation))

    def _on_disconnect(self, ended: threading.Event, reason: ReasonCode) -> None:
        was_up, refused = self.is_up.is_set(), self._refused
        self._refused = False
        self.is_up.clear()
        self._peer.down()
        if was_up and reason.is_failure:
            self._complain(
                f"went away: {reason}; if that goes on, see whether another affectd is called "
                f"{self._name} too"
            )
        elif not was_up and not refused and not self._stopping.is_set():
            self._complain(
                "takes the connection, but does not answer as an MQTT broker; check mqtt.port, "
                "mqtt.version and whether it wants mqtt.tls"
            )
        ended.set()

    def _complain(self, complaint: str) -> None:
        """Tell a problem with the broker once, not at every attempt."""
        if complaint != self._complaint:
            self._complaint = complaint
            self._peer.troubled(f"{self._broker} {complaint}")


def new_client(
    settings: Mqtt, client_id: str, password: str | None, tls: ssl.SSLContext | None
) -> paho.Client:
    """A client that is not connected yet, and is not connected again."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5 if settings.version == 5 else paho.MQTTv311,
        transport=settings.transport,
        reconnect_on_failure=False,
    )
    client.username_pw_set(settings.username, password)
    if settings.transport == "websockets":
        client.ws_set_options(path=settings.path)
    if tls is not None:
        client.tls_set_context(tls)
    return client


def refusal(reason: ReasonCode) -> str:
    """What a broker says that refuses a connection, and what to do about it."""
    remedy = REMEDIES.get(reason.value, "see the broker's log")
    return f"refused the connection: {reason}; {remedy}"


def next_pause_s(pause_s: float, lasted_s: float) -> float:
    """How long to wait before the next attempt, after one whose connection lasted so long."""
    if lasted_s >= STEADY_S or pause_s == 0:
        return FIRST_PAUSE_S
    return min(2 * pause_s, LONGEST_PAUSE_S)


def tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    """What checks the broker, and shows it our certificate. Raises SettingsError."""
    files = {key: getattr(settings, key) for key in ("ca_file", "cert_file", "key_file")}
    if not settings.tls:
        for key, path in files.items():
            if path is not None:
                raise SettingsError(f"mqtt.{key} is set, but mqtt.tls is false; set it to true")
        return None
    if (settings.cert_file is None) != (settings.key_file is None):
        raise SettingsError("only one of mqtt.cert_file and mqtt.key_file is set; set both")
    context = _trusting(settings.ca_file)
    if settings.cert_file is not None and settings.key_file is not None:
        chain = user_path(settings.cert_file), user_path(settings.key_file)
        try:
            context.load_cert_chain(*chain, password="")
        except OSError as error:  # SSLError is one
            raise SettingsError(
                f"mqtt.cert_file {chain[0]} and mqtt.key_file {chain[1]} cannot be used ({error}); "
                "give a certificate and its key, without a password, in PEM form"
            ) from error
    return context


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    path = None if ca_file is None else user_path(ca_file)
    try:
        context = ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"mqtt.ca_file is {path}, which cannot be used ({error}); "
            "give the certificate of the broker's authority in PEM form"
        ) from error
    # Authorities made for a house mostly lack the extension that this flag wants.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _client_id(settings: Mqtt, name: str) -> str:
    return settings.client_id or f"affectd-{name}"


def _limits() -> Properties:
    """What the broker must keep to."""
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = LARGEST
    return limits


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
