"""Messages to publish in tests."""

from typing import Any

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish.messages import (
    HealthMessage,
    MoodMessage,
    Probabilities,
    UtteranceMessage,
)

PROBABILITIES = Probabilities(0.05, 0.05, 0.05, 0.6, 0.05, 0.1, 0.05, 0.05)


def utterance(id_: str = "a") -> UtteranceMessage:
    return UtteranceMessage(
        id=id_,
        node="kitchen",
        time="2026-01-01T12:00:00.000Z",
        duration_s=1.5,
        emotion="sad",
        confidence=0.6,
        probabilities=PROBABILITIES,
        set=["sad", "fearful"],
        valence=-0.4,
        arousal=-0.1,
        level_dbfs=-30.0,
        snr_db=20.0,
        speech_ratio=0.8,
        clipped=0.0,
        flaws=[],
        speech_probability=0.9,
        model="cnn+lstm",
        voice_utterances=7,
        latency_ms=4.0,
    )


def mood(name: str = "sad") -> MoodMessage:
    return MoodMessage(
        node="kitchen",
        mood=name,  # type: ignore[arg-type]
        since="2026-01-01T12:00:00.000Z",
        confidence=0.6,
        probabilities=PROBABILITIES,
        utterances=3,
    )


def health(**changes: Any) -> HealthMessage:
    told: dict[str, Any] = {
        "node": "kitchen",
        "listening": "listening",
        "reason": "",
        "device": "Yeti, ALSA",
        "rate_hz": 16_000,
        "overflows": 0,
        "gaps": 0,
        "lost_s": 1.5,
        "drift_ppm": None,
        "warning": "",
        "threshold": 0.35,
        "classes": list(EMOTIONS),
        "quiet_until": None,
        "diagnostics_until": None,
        "journal": 4,
        "expired": 0,
        "utterances": 3,
        "dropped": 2,
        "voice_utterances": 7,
        "inference_ms": 2.5,
        "uptime_s": 5.0,
        "version": "1.0",
    }
    return HealthMessage(**told | changes)
