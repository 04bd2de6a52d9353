"""What listeners receive: the payloads, described by the JSON Schemas in config/schema/."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from affectd.daemon.capture.source import State
from affectd.daemon.emotion.labels import Emotion

Share = Annotated[float, Meta(ge=0, le=1)]
Time = Annotated[
    str,
    Meta(
        description="ISO 8601, UTC, milliseconds",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        extra_json_schema={"format": "date-time"},
    ),
]


class Probabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The calibrated probability of each emotion, rounded; they sum to 1."""

    neutral: Share
    calm: Share
    happy: Share
    sad: Share
    angry: Share
    fearful: Share
    disgusted: Share
    surprised: Share


class UtteranceMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading: topic affectd/<node>/utterance, and a line of the log."""

    id: Annotated[str, Meta(description="unique to this reading", min_length=1)]
    node: Annotated[str, Meta(description="the affectd that heard it", min_length=1)]
    time: Annotated[Time, Meta(description="when the utterance began")]
    duration_s: Annotated[float, Meta(gt=0, le=3.0, description="length of the utterance")]
    emotion: Annotated[
        Emotion | Literal["unknown"],
        Meta(
            description="the most likely emotion; unknown if its confidence is too low or if it is "
            "probably no speech"
        ),
    ]
    confidence: Annotated[
        Share, Meta(description="calibrated probability of the likeliest emotion")
    ]
    probabilities: Probabilities
    set: Annotated[
        list[Emotion],
        Meta(
            min_length=1,
            description="emotions that cannot be ruled out: conformal, at a nominal coverage",
        ),
    ]
    valence: Annotated[
        float, Meta(ge=-1, le=1, description="unpleasant to pleasant, derived from probabilities")
    ]
    arousal: Annotated[
        float, Meta(ge=-1, le=1, description="drowsy to excited, derived from probabilities")
    ]
    level_dbfs: Annotated[float, Meta(le=0, description="RMS of the voiced frames")]
    snr_db: Annotated[
        float | None,
        Meta(description="voiced above other frames; null if every frame is voiced"),
    ]
    speech_ratio: Annotated[Share, Meta(description="share of voiced frames")]
    clipped: Annotated[Share, Meta(description="share of the samples that are clipped")]
    flaws: Annotated[
        list[Literal["noisy", "clipped"]],
        Meta(description="why the reading may be worth less, by the limits of `quality`"),
    ]
    speech_probability: Annotated[
        Share, Meta(description="that it is speech and no other sound, by a network of its own")
    ]
    model: Annotated[str, Meta(description="the networks that were run", min_length=1)]
    voice_utterances: Annotated[
        int, Meta(ge=0, description="utterances that the node's voice was known by before this one")
    ]
    latency_ms: Annotated[
        float, Meta(ge=0, description="from the arrival of its last samples to its publication")
    ]


class MoodMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The slow state of the room: topic affectd/<node>/mood, retained, and a line of the log."""

    node: Annotated[str, Meta(description="the affectd that heard it", min_length=1)]
    mood: Annotated[
        Emotion | Literal["idle"], Meta(description="idle if nothing was heard for long")
    ]
    since: Annotated[Time, Meta(description="when this mood began")]
    confidence: Annotated[Share, Meta(description="smoothed probability of the mood")]
    probabilities: Annotated[Probabilities, Meta(description="smoothed over the readings")]
    utterances: Annotated[int, Meta(ge=0, description="readings of speech since the service began")]


class HealthMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the node is doing: topic affectd/<node>/health, retained."""

    node: Annotated[str, Meta(description="the affectd that tells it", min_length=1)]
    listening: Annotated[
        State,
        Meta(
            description="silent: the microphone delivers silence alone; lost: it is looked for; "
            "failed: the audio library hangs, and affectd ends"
        ),
    ]
    reason: Annotated[str, Meta(description="why it is not listening, for people; empty if it is")]
    device: Annotated[str, Meta(description="the microphone that is heard, or was last")]
    rate_hz: Annotated[int, Meta(ge=0, description="at which it is open; 0 before it was")]
    overflows: Annotated[int, Meta(ge=0, description="times the system said it dropped audio")]
    gaps: Annotated[int, Meta(ge=0, description="times the microphone was lost")]
    lost_s: Annotated[float, Meta(ge=0, description="not heard in all, pauses apart")]
    drift_ppm: Annotated[
        float | None,
        Meta(description="how much faster than this machine's clock it runs; null until known"),
    ]
    warning: Annotated[
        str, Meta(description="that readings are all alike for too long; empty if they are not")
    ]
    threshold: Annotated[
        Share, Meta(description="confidence below which a reading is unknown, that is in force")
    ]
    classes: Annotated[list[Emotion], Meta(min_length=1, description="that may be read")]
    quiet_until: Annotated[
        Time | None, Meta(description="until when readings are withheld by command; null: not")
    ]
    diagnostics_until: Annotated[
        Time | None, Meta(description="until when `diagnostics` tells of each; null: not")
    ]
    journal: Annotated[
        int, Meta(ge=0, description="readings that the broker has not acknowledged yet")
    ]
    expired: Annotated[
        int, Meta(ge=0, description="readings that became too old or too many before it had them")
    ]
    utterances: Annotated[int, Meta(ge=0, description="readings since the service began")]
    dropped: Annotated[int, Meta(ge=0, description="that were noisy or clipped, and withheld")]
    voice_utterances: Annotated[int, Meta(ge=0, description="that the node's voice is known by")]
    inference_ms: Annotated[
        float | None, Meta(description="that the newest reading took; null before the first")
    ]
    uptime_s: Annotated[float, Meta(ge=0, description="since the service began")]
    version: Annotated[str, Meta(description="of affectd", min_length=1)]


class HistoryMessage(UtteranceMessage, frozen=True, forbid_unknown_fields=True):
    """A reading that could not be published at once: topic affectd/<node>/history."""

    replayed: Literal[True] = True


class DiagnosticsMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read of an utterance, kept or not: topic affectd/<node>/diagnostics, for a while."""

    node: Annotated[str, Meta(description="the affectd that heard it", min_length=1)]
    time: Annotated[Time, Meta(description="when the utterance began")]
    top: Annotated[
        dict[Emotion, Share],
        Meta(min_length=1, max_length=3, description="the likeliest emotions, the first first"),
    ]
    speech_probability: Annotated[Share, Meta(description="that it is speech and no other sound")]
    kept: Annotated[bool, Meta(description="whether it was published")]
    why: Annotated[str, Meta(description="why not; empty if it was")]


class LevelMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How loud it is now: to those who watch on this machine, seven to ten times a second."""

    node: Annotated[str, Meta(description="the affectd that hears it", min_length=1)]
    level_dbfs: Annotated[float, Meta(le=0, description="RMS since the one before")]
    voiced: Annotated[bool, Meta(description="whether some of that may be speech")]


class Event(msgspec.Struct, frozen=True):
    """One line to those who watch: what MQTT carries on a topic, and levels."""

    event: str  # the last level of the topic, such as `mood`; or `level`
    node: str
    message: msgspec.Raw  # the payload, as JSON


class CommandResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to a command: topic affectd/<node>/command/result."""

    id: Annotated[str | None, Meta(description="of the command; null if it had none")]
    command: Annotated[str, Meta(description="its name")]
    ok: Annotated[bool, Meta(description="whether it is obeyed")]
    error: Annotated[str, Meta(description="why not, for people; empty if it is")]
    node: Annotated[str, Meta(description="the affectd that answers", min_length=1)]
    time: Annotated[Time, Meta(description="of the answer")]


def iso(unix_s: float) -> str:
    """A point in time as messages write it."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
