"""What the networks' probabilities mean: calibration, `unknown`, prediction set, valence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN

Share = Annotated[float, Meta(ge=0, le=1)]

# Where each emotion lies on the circumplex, (valence, arousal) in -1..1: the quadrants and the
# order within them follow Russell (1980) and Scherer (2005); the values are this project's.
CIRCUMPLEX: Final[NDArray[np.float64]] = np.array(
    [
        (0.0, 0.0),  # neutral
        (0.4, -0.6),  # calm
        (0.8, 0.5),  # happy
        (-0.7, -0.5),  # sad
        (-0.7, 0.7),  # angry
        (-0.6, 0.7),  # fearful
        (-0.7, 0.2),  # disgusted
        (0.2, 0.8),  # surprised
    ]
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities of one choice of networks can be trusted."""

    temperature: Annotated[float, Meta(ge=0.01, le=100)]  # divides log-probabilities
    threshold: Share  # a lower confidence makes the reading `unknown`
    conformal: Share  # emotions at least this probable are in the prediction set
    coverage: Share  # of prediction sets, in which the true emotion should be


@dataclass(frozen=True, slots=True)
class Reading:
    """What the networks say of one utterance."""

    emotion: str  # one of EMOTIONS, or UNKNOWN
    is_speech: bool  # whether it passed the gate; else the emotion is UNKNOWN
    speech_probability: float  # 0..1
    confidence: float  # 0..1, calibrated probability of the most likely emotion
    probabilities: tuple[float, ...]  # calibrated, in the order of EMOTIONS
    prediction_set: tuple[str, ...]  # holds the true emotion at the nominal coverage
    valence: float  # -1..1, derived from the probabilities
    arousal: float  # -1..1, derived from the probabilities


@dataclass(frozen=True, slots=True)
class Rules:
    """What a node was told while it runs, over what the bundle and the configuration say."""

    threshold: float | None = None  # of confidence, 0..1; None: that of the calibration
    classes: tuple[str, ...] = EMOTIONS  # that may be read, one at least


NO_RULES: Final = Rules()


def combine(networks: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.float64]:
    """Mean log-probability of the networks, normalised; each and the result have shape (..., 8)."""
    logs = np.mean([np.log(np.maximum(p, 1e-12)) for p in networks], axis=0)
    return _softmax(logs)


def soften(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Divide log-probabilities, shape (..., 8), by a temperature and normalise again.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks.
    """
    return _softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def decide(
    probabilities: NDArray[np.floating[Any]],
    calibration: Calibration,
    speech_probability: float = 1.0,
    speech_threshold: float = 0.0,
    rules: Rules = NO_RULES,
) -> Reading:
    """Turn combined probabilities, shape (8,), into a reading.

    speech_probability: that the utterance is speech; below the threshold the reading is `unknown`.
    rules: emotions that may not be read have the probability 0, and the others share what is left;
    then the prediction set no longer holds the true emotion at its coverage.
    Prediction set: Sadinle, Lei & Wasserman (2019), least ambiguous set-valued classifiers.
    """
    allowed = np.array([emotion in rules.classes for emotion in EMOTIONS])
    calibrated = np.zeros(len(EMOTIONS))
    calibrated[allowed] = soften(probabilities[allowed], calibration.temperature)
    threshold = calibration.threshold if rules.threshold is None else rules.threshold
    top = int(calibrated.argmax())
    is_speech = speech_probability >= speech_threshold
    is_sure = calibrated[top] >= threshold
    likely = [i for i in range(len(EMOTIONS)) if calibrated[i] >= calibration.conformal or i == top]
    valence, arousal = calibrated @ CIRCUMPLEX
    return Reading(
        emotion=EMOTIONS[top] if is_speech and is_sure else UNKNOWN,
        is_speech=is_speech,
        speech_probability=speech_probability,
        confidence=float(calibrated[top]),
        probabilities=tuple(float(p) for p in calibrated),
        prediction_set=tuple(EMOTIONS[i] for i in likely),
        valence=float(valence),
        arousal=float(arousal),
    )


def _softmax(logs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
