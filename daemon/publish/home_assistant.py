"""What Home Assistant is told, so that a node appears there as a device with its entities.

Two forms say the same: one retained payload for the device (Home Assistant 2024.11 and newer), or
one for each entity (older ones). Names of entities are their English ones; ids are stable.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

from affectd.daemon.emotion.decision import CIRCUMPLEX
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN

Form = Literal["device", "entities"]
Config = dict[str, Any]

BIRTH: Final = b"online"  # what Home Assistant says on <prefix>/status when it starts
MIGRATE: Final = b'{"migrate_discovery":true}'
QOS: Final = 1

ON_OFF: Final = {"payload_on": "ON", "payload_off": "OFF"}
MEASURED: Final = {"state_class": "measurement"}
COUNTED: Final = {"state_class": "total_increasing"}
DIAGNOSTIC: Final = {"entity_category": "diagnostic"}
SETTING: Final = {"entity_category": "config"}
MILLISECONDS: Final = {"device_class": "duration", "unit_of_measurement": "ms"}
LAST: Final = ("time", "confidence", "set", "valence", "arousal", "probabilities", "flaws")
DEAF: Final = "{{ 'offline' if value_json.listening in ['lost', 'failed'] else 'online' }}"


class Message(NamedTuple):
    """One message to publish, at QOS."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of the device."""

    key: str  # what makes its ids unique within the node
    platform: str  # Home Assistant's kind of entity
    name: str
    config: Config  # whose topics lack the node's beginning
    hears: bool = False  # whether it says nothing while there is no microphone


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


def _of(topic: str, value: str) -> Config:
    """The state is a value of the JSON on a topic."""
    return {"state_topic": topic, "value_template": f"{{{{ {value} }}}}"}


def _unless_idle(value: str) -> Config:
    """A value of the room, as of its mood: retained, and unknown when nothing is heard for long.

    That of the last utterance would stand for hours, or be unavailable after each restart.
    """
    return _of("mood", f"None if value_json.mood == 'idle' else {value}")


def _mean_place(axis: int) -> str:
    """Valence (0) or arousal (1) of the probabilities, as `Reading` has them of an utterance."""
    terms = (
        f"{place:g} * value_json.probabilities.{emotion}"
        for emotion, place in zip(EMOTIONS, CIRCUMPLEX[:, axis], strict=True)
        if place
    )
    return f"({' + '.join(terms)}) | round(3)"


def _attributes(topic: str, names: Iterable[str]) -> Config:
    """Some members of the JSON on a topic become attributes."""
    members = ", ".join(f"'{name}': value_json.{name}" for name in names)
    return {
        "json_attributes_topic": topic,
        "json_attributes_template": f"{{{{ {{{members}}} | tojson }}}}",
    }


def _decimals(count: int) -> Config:
    return {"suggested_display_precision": count}


FEELING: Final = (
    Entity(
        "mood",
        "sensor",
        "Mood",
        _of("mood", "value_json.mood")
        | _attributes("mood", ("since", "confidence", "probabilities", "utterances"))
        | {"device_class": "enum", "options": [*EMOTIONS, "idle"], "icon": "mdi:home-heart"},
        hears=True,
    ),
    Entity(
        "last_emotion",
        "sensor",
        "Last emotion",
        _of("utterance", "value_json.emotion")
        | _attributes("utterance", LAST)
        | {
            "device_class": "enum",
            "options": [*EMOTIONS, UNKNOWN],
            "icon": "mdi:emoticon-outline",
        },
        hears=True,
    ),
    Entity(
        "confidence",
        "sensor",
        "Confidence",
        _unless_idle("(100 * value_json.confidence) | round(1)")
        | MEASURED
        | _decimals(0)
        | {"unit_of_measurement": "%", "icon": "mdi:percent"},
        hears=True,
    ),
    Entity(
        "valence",
        "sensor",
        "Valence",
        _unless_idle(_mean_place(0))
        | MEASURED
        | _decimals(2)
        | {"icon": "mdi:emoticon-happy-outline"},
        hears=True,
    ),
    Entity(
        "arousal",
        "sensor",
        "Arousal",
        _unless_idle(_mean_place(1)) | MEASURED | _decimals(2) | {"icon": "mdi:pulse"},
        hears=True,
    ),
    Entity(
        "utterance",
        "event",
        "Utterance",
        _of("utterance", "dict(value_json, event_type=value_json.emotion) | tojson")
        | {"event_types": [*EMOTIONS, UNKNOWN], "icon": "mdi:account-voice"},
        hears=True,
    ),
    Entity(
        "speech",
        "binary_sensor",
        "Speech",
        {"state_topic": "speech", "device_class": "sound", **ON_OFF},
        hears=True,
    ),
)

CONTROLS: Final = (
    Entity(
        "listening",
        "switch",
        "Listening",
        {
            "state_topic": "listening",
            "command_topic": "listening/set",
            "retain": False,
            "icon": "mdi:microphone",
            **ON_OFF,
        },
    ),
    Entity(
        "threshold",
        "number",
        "Threshold",
        _of("health", "value_json.threshold")
        | SETTING
        | {
            "command_topic": "command/threshold",
            "command_template": '{"threshold": {{ value }}}',
            "retain": False,
            "min": 0,
            "max": 1,
            "step": 0.01,
            "mode": "box",
            "icon": "mdi:tune-vertical",
        },
    ),
    Entity(
        "voice_reset",
        "button",
        "Voice reset",
        SETTING
        | {
            "command_topic": "command/voice-reset",
            "payload_press": "{}",
            "retain": False,
            "icon": "mdi:account-convert-outline",
        },
    ),
)

DIAGNOSTICS: Final = (
    Entity(
        "microphone_problem",
        "binary_sensor",
        "Microphone problem",
        _of(
            "health",
            "'ON' if value_json.listening in ['lost', 'failed', 'silent'] else 'OFF'",
        )
        | _attributes("health", ("listening", "reason", "warning"))
        | DIAGNOSTIC
        | {"device_class": "problem", **ON_OFF},
    ),
    Entity(
        "level",
        "sensor",
        "Level",
        _of("utterance", "value_json.level_dbfs")
        | MEASURED
        | DIAGNOSTIC
        | _decimals(1)
        # Of full scale, so it is no sound pressure.
        | {"unit_of_measurement": "dBFS", "icon": "mdi:volume-high"},
        hears=True,
    ),
    Entity(
        "signal_to_noise",
        "sensor",
        "Signal to noise",
        _of("utterance", "value_json.snr_db")
        | MEASURED
        | DIAGNOSTIC
        | _decimals(1)
        | {"unit_of_measurement": "dB", "icon": "mdi:waveform"},
        hears=True,
    ),
    Entity(
        "latency",
        "sensor",
        "Latency",
        _of("utterance", "value_json.latency_ms")
        | MEASURED
        | DIAGNOSTIC
        | MILLISECONDS
        | _decimals(1),
        hears=True,
    ),
    Entity(
        "inference",
        "sensor",
        "Inference",
        _of("health", "value_json.inference_ms")
        | MEASURED
        | DIAGNOSTIC
        | MILLISECONDS
        | _decimals(1),
    ),
    Entity(
        "dropped",
        "sensor",
        "Dropped",
        _of("health", "value_json.dropped")
        | COUNTED
        | DIAGNOSTIC
        | {"icon": "mdi:comment-remove-outline"},
    ),
    Entity(
        "time_lost",
        "sensor",
        "Time lost",
        _of("health", "value_json.lost_s")
        | COUNTED
        | DIAGNOSTIC
        | _decimals(1)
        | {"device_class": "duration", "unit_of_measurement": "s"},
    ),
    Entity(
        "journal",
        "sensor",
        "Journal",
        _of("health", "value_json.journal") | MEASURED | DIAGNOSTIC | {"icon": "mdi:tray-full"},
    ),
    Entity(
        "version",
        "sensor",
        "Version",
        _of("health", "value_json.version") | DIAGNOSTIC | {"icon": "mdi:tag-outline"},
    ),
    Entity(
        "microphone",
        "sensor",
        "Microphone",
        _of("health", "value_json.device") | DIAGNOSTIC | {"icon": "mdi:microphone-settings"},
    ),
)

ENTITIES: Final = (*FEELING, *CONTROLS, *DIAGNOSTICS)
