"""Any affectd that publishes to a broker, as a source."""

import logging
import secrets
from typing import Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from affectd.daemon.publish.connection import Connection, Received
from affectd.daemon.publish.messages import Event
from affectd.daemon.settings import Mqtt
from affectd.daemon.watch.inbox import Inbox, Link

logger = logging.getLogger(__name__)

TEXTS: Final = ("status", "speech")  # topics whose payload is a word
OBJECTS: Final = ("utterance", "mood", "health", "diagnostics")  # and JSON
FAREWELL_S: Final = 2.0


class RemoteSource:
    """Subscribes to all nodes, or to one; it publishes nothing."""

    def __init__(
        self, settings: Mqtt, password: str | None, node: str | None, inbox: Inbox
    ) -> None:
        """node: the only one that is wanted, or None. Raises SettingsError."""
        self._root, self._inbox = f"{settings.root}/", inbox
        self._broker = f"the MQTT broker {settings.host}:{settings.port}"
        topics = [f"{settings.root}/{node or '+'}/{name}" for name in (*TEXTS, *OBJECTS)]
        # A node's own client id would push that node off the broker.
        guest = msgspec.structs.replace(settings, client_id=None)
        name = f"watch-{secrets.token_hex(4)}"
        self._connection = Connection(guest, name, password, topics, self, has_will=False)

    def start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    def stop(self) -> None:
        """Disconnect."""
        self._connection.stop(FAREWELL_S)

    def up(self, client: paho.Client) -> bool:  # noqa: ARG002
        """Tell that there is a connection."""
        self._inbox.put(Link(True, self._broker))
        return True

    def down(self) -> None:
        """Tell that there is none."""
        self._inbox.put(Link(False, f"{self._broker} is not connected; waiting for it"))

    def troubled(self, complaint: str) -> None:
        """Tell why there is none."""
        self._inbox.put(Link(False, f"the MQTT broker {complaint}; trying again"))

    def acknowledged(self, client: paho.Client, number: int, reason: ReasonCode) -> None:
        """Never happens, as nothing is published."""

    def received(self, message: Received) -> None:
        """Put it into the inbox as an event."""
        if not message.payload:  # what was retained is taken back
            return
        node, _, name = message.topic.removeprefix(self._root).rpartition("/")
        try:
            told = (
                message.payload.decode() if name in TEXTS else msgspec.json.decode(message.payload)
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            logger.warning("the payload on %s is not understood: %s", message.topic, error)
            return
        # Encoded anew, as there may be line breaks in it.
        self._inbox.put(Event(name, node, msgspec.Raw(msgspec.json.encode(told))))
