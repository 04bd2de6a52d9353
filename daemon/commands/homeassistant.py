"""`affectd homeassistant show|remove`: what Home Assistant is told, and taking that back."""

import argparse
import os
import queue
import secrets
from collections.abc import Sequence
from typing import Any, Final, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from affectd import __version__
from affectd.daemon import configuration
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish.connection import QOS, new_client, refusal, tls_context
from affectd.daemon.publish.home_assistant import Discovery, filters, removal
from affectd.daemon.settings import Mqtt, Settings, password

ANSWER_S: Final = 10.0  # for the broker to answer


def run(args: argparse.Namespace) -> int:
    """Show or remove what is announced of the configured nodes. Raises BrokerError."""
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    if args.action == "show":
        _show(settings)
    else:
        _remove(settings)
    return 0


def _show(settings: Settings) -> None:
    """Print each message that is published, a JSON object a line."""
    form, prefix = settings.home_assistant.discovery, settings.home_assistant.prefix
    if form == "off":
        return
    for node in settings.nodes():
        for message in Discovery(form, node.node, node.mqtt.root, __version__, prefix).messages():
            payload = msgspec.Raw(message.payload)
            line = {"topic": message.topic, "retain": message.retain, "payload": payload}
            print(msgspec.json.encode(line).decode())


def _remove(settings: Settings) -> None:
    """Empty what is retained of the nodes' announcements.

    A broker that has lost it is told for each topic, as Home Assistant may still know the entities.
    """
    nodes, prefix = [node.node for node in settings.nodes()], settings.home_assistant.prefix
    with Session(settings.mqtt, password(settings.mqtt, os.environ)) as session:
        found = session.retained([topic for node in nodes for topic in filters(node, prefix)])
        topics = found or [topic for node in nodes for topic in removal(node, prefix)]
        refused = session.clear(topics)
    removed = [topic for topic in topics if topic not in refused]
    if not removed:
        raise BrokerError(
            f"the MQTT broker {settings.mqtt.host}:{settings.mqtt.port} lets nobody write "
            f"{refused[0]} as {settings.mqtt.username or 'a guest'}; allow it in its access list"
        )
    for topic in removed if found else ():
        print(f"removed {topic}")
    if not found:
        print(f"nothing was announced of {', '.join(nodes)} below {prefix}/")
    elif settings.home_assistant.discovery != "off":
        print("a running affectd announces itself again; set home_assistant.discovery: off first")


class Session:
    """A connection of its own, beside a running affectd's, that waits for each answer."""

    def __init__(self, settings: Mqtt, password: str | None) -> None:
        self._settings = settings
        self._broker = f"the MQTT broker {settings.host}:{settings.port}"
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._found: list[str] = []
        client_id = f"affectd-{secrets.token_hex(4)}"
        self._client = client = new_client(settings, client_id, password, tls_context(settings))
        client.on_connect = lambda *args: self._answers.put(args[3])
        client.on_disconnect = lambda *_: self._answers.put(None)
        client.on_subscribe = lambda *args: self._answers.put(args[2])
        client.on_unsubscribe = lambda *args: self._answers.put(args[2])
        client.on_publish = lambda *args: self._answers.put((args[2], args[3]))
        client.on_message = self._on_message

    def __enter__(self) -> Self:
        """Connect. Raises BrokerError if that fails or is refused."""
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
                raise BrokerError(f"{self._broker} {refusal(reason)}")
        except BrokerError:
            self._client.loop_stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def retained(self, topics: Sequence[str]) -> list[str]:
        """Topics that match and hold something; what may not be subscribed seems to hold nothing.

        A broker sends at QoS 0 what is retained before it answers what is asked later.
        """
        self._client.subscribe([(topic, 0) for topic in topics])
        self._answer()
        self._client.unsubscribe(list(topics))
        self._answer()
        return sorted(set(self._found))

    def clear(self, topics: Sequence[str]) -> list[str]:
        """Let topics hold nothing; return those that the broker refuses, as MQTT 5 tells."""
        sent = {self._client.publish(topic, b"", QOS, retain=True).mid: topic for topic in topics}
        refused = []
        for _ in topics:
            number, reason = self._answer()
            if reason.is_failure:
                refused.append(sent[number])
        return refused

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain and message.payload:
            self._found.append(message.topic)

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
