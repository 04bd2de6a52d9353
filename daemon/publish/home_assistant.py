"""What Home Assistant is told, so that a node appears there as a device with its entities.

Two forms say the same: one retained payload for the device (Home Assistant 2024.11 and newer), or
one for each entity (older ones). Names of entities are their English ones; ids are stable.
"""

import re
from typing import Final, Literal, NamedTuple

import msgspec

from affectd.daemon.publish.entities import ENTITIES, Config, Entity

Form = Literal["device", "entities"]

BIRTH: Final = b"online"  # what Home Assistant says on <prefix>/status when it starts
MIGRATE: Final = b'{"migrate_discovery":true}'
QOS: Final = 1

DEAF: Final = "{{ 'offline' if value_json.listening in ['lost', 'failed'] else 'online' }}"


class Message(NamedTuple):
    """One message to publish, at QOS."""

    topic: str
    payload: bytes
    retain: bool = True


def device_topic(node: str, prefix: str) -> str:
    """Where the payload of the whole device belongs."""
    return f"{prefix}/device/{_device_id(node)}/config"


def device_payload(node: str, root: str, version: str) -> Config:
    """The device with all entities, for device_topic, retained."""
    return {
        "device": _device(node, version),
        "origin": _origin(version),
        "qos": QOS,
        "components": {
            entity.key: {"platform": entity.platform, **_config(entity, node, root)}
            for entity in ENTITIES
        },
    }


def entity_payloads(node: str, root: str, version: str, prefix: str) -> dict[str, Config]:
    """Topic and payload of each entity on its own, retained, for Home Assistant before 2024.11."""
    return {
        _entity_topic(entity, node, prefix): {
            **_config(entity, node, root),
            "object_id": _object_id(entity, node),  # the older name of default_entity_id
            "qos": QOS,
            "device": _device(node, version),
            "origin": _origin(version),
        }
        for entity in ENTITIES
    }


def filters(node: str, prefix: str) -> tuple[str, str]:
    """What matches all that was ever announced of a node: as a device, as single entities."""
    return device_topic(node, prefix), f"{prefix}/+/{_device_id(node)}/+/config"


def removal(node: str, prefix: str) -> list[str]:
    """Topics whose retained payload must become empty for the node to be forgotten."""
    return [
        device_topic(node, prefix),
        *(_entity_topic(entity, node, prefix) for entity in ENTITIES),
    ]


class Discovery:
    """What to publish for one node, given what an earlier affectd has left on the broker.

    Home Assistant refuses an entity that is announced in both forms, and warns of empty payloads
    for what it does not know. So what is there is looked at first: subscribe to `subscriptions`,
    hand what arrives to `found`, and publish `messages` a moment after each connection, a while
    after each birth of Home Assistant, and whenever `found` is true.
    """

    def __init__(self, form: Form, node: str, root: str, version: str, prefix: str) -> None:
        self._form, self._node, self._prefix = form, node, prefix
        own = (
            {device_topic(node, prefix): device_payload(node, root, version)}
            if form == "device"
            else entity_payloads(node, root, version, prefix)
        )
        self._own = {topic: msgspec.json.encode(payload) for topic, payload in own.items()}
        self._left: set[str] = set()  # topics of what must go

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Where Home Assistant's births and what is left of other forms arrive."""
        device, entities = filters(self._node, self._prefix)
        if self._form == "device":
            return f"{self._prefix}/status", entities
        return f"{self._prefix}/status", device, entities

    def is_birth(self, topic: str, payload: bytes) -> bool:
        """Whether Home Assistant has just started."""
        return topic == f"{self._prefix}/status" and payload == BIRTH

    def found(self, topic: str, payload: bytes, retained: bool) -> bool:
        """Take a message of the subscriptions; true if `messages` has to be published for it."""
        is_left = retained and bool(payload) and topic not in self._own
        if is_left and topic != f"{self._prefix}/status":
            self._left.add(topic)
            return True
        return False

    def messages(self) -> list[Message]:
        """All that makes Home Assistant know the node in this form alone, in this order."""
        left, self._left = sorted(self._left), set()
        # Keeps what people have set for the entities, where Home Assistant knows of moving.
        moving = [Message(topic, MIGRATE, retain=False) for topic in left]
        gone = [Message(topic, b"") for topic in left]
        return [*moving, *gone, *(Message(topic, payload) for topic, payload in self._own.items())]


def _device_id(node: str) -> str:
    return f"affectd_{node}"


def _object_id(entity: Entity, node: str) -> str:
    """The second half of an entity id, as Home Assistant would make it from the names."""
    return re.sub(r"[^a-z0-9]+", "_", f"affectd {node} {entity.key}".lower())


def _entity_topic(entity: Entity, node: str, prefix: str) -> str:
    return f"{prefix}/{entity.platform}/{_device_id(node)}/{entity.key}/config"


def _device(node: str, version: str) -> Config:
    return {
        "identifiers": [_device_id(node)],
        "name": f"affectd {node}",
        "manufacturer": "affectd",
        "model": "Speech emotion listener",
        "sw_version": version,
    }


def _origin(version: str) -> Config:
    return {"name": "affectd", "sw_version": version}


def _config(entity: Entity, node: str, root: str) -> Config:
    """What both forms say of an entity."""
    base = f"{root}/{node}"
    topics = {
        key: f"{base}/{value}" for key, value in entity.config.items() if key.endswith("_topic")
    }
    availability = [{"topic": f"{base}/status"}]
    if entity.hears:
        availability.append({"topic": f"{base}/health", "value_template": DEAF})
    return {
        "name": entity.name,
        "unique_id": f"{_device_id(node)}_{entity.key}",
        "default_entity_id": f"{entity.platform}.{_object_id(entity, node)}",
        **entity.config,
        **topics,
        "availability": availability,
        "availability_mode": "all",
    }
