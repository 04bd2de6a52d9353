"""The entities of a node in Home Assistant. Names are their English ones; keys are stable."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from affectd.daemon.emotion.decision import CIRCUMPLEX
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN

Config = dict[str, Any]

HEALTH_EXPIRES_S: Final = 180  # after which a node that says nothing of its health is stuck

ON_OFF: Final = {"payload_on": "ON", "payload_off": "OFF"}
MEASURED: Final = {"state_class": "measurement"}
COUNTED: Final = {"state_class": "total_increasing"}
DIAGNOSTIC: Final = {"entity_category": "diagnostic"}
SETTING: Final = {"entity_category": "config"}
MILLISECONDS: Final = {"device_class": "duration", "unit_of_measurement": "ms"}
LAST: Final = ("time", "confidence", "set", "valence", "arousal", "probabilities", "flaws")


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of the device."""

    key: str  # what makes its ids unique within the node
    platform: str  # Home Assistant's kind of entity
    name: str
    config: Config  # whose topics lack the node's beginning
    hears: bool = False  # whether it says nothing while there is no microphone


def _of(topic: str, value: str) -> Config:
    """The state is a value of the JSON on a topic."""
    return {"state_topic": topic, "value_template": f"{{{{ {value} }}}}"}


def _of_health(value: str) -> Config:
    """The state is a value of the health, which is told every minute while the service is alive."""
    return _of("health", value) | {"expire_after": HEALTH_EXPIRES_S}


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
        _of_health(
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
        _of_health("value_json.inference_ms") | MEASURED | DIAGNOSTIC | MILLISECONDS | _decimals(1),
    ),
    Entity(
        "dropped",
        "sensor",
        "Dropped",
        _of_health("value_json.dropped")
        | COUNTED
        | DIAGNOSTIC
        | {"icon": "mdi:comment-remove-outline"},
    ),
    Entity(
        "time_lost",
        "sensor",
        "Time lost",
        _of_health("value_json.lost_s")
        | COUNTED
        | DIAGNOSTIC
        | _decimals(1)
        | {"device_class": "duration", "unit_of_measurement": "s"},
    ),
    Entity(
        "journal",
        "sensor",
        "Journal",
        _of_health("value_json.journal") | MEASURED | DIAGNOSTIC | {"icon": "mdi:tray-full"},
    ),
    Entity(
        "version",
        "sensor",
        "Version",
        _of_health("value_json.version") | DIAGNOSTIC | {"icon": "mdi:tag-outline"},
    ),
    Entity(
        "microphone",
        "sensor",
        "Microphone",
        _of_health("value_json.device") | DIAGNOSTIC | {"icon": "mdi:microphone-settings"},
    ),
)

ENTITIES: Final = (*FEELING, *CONTROLS, *DIAGNOSTICS)
