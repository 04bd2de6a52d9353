"""Figures of merit, and calibration from corpora that no weight was fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, recall_score

from affectd.daemon.emotion.decision import Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS

MISSED: Final = -1  # what a clip without an utterance is predicted to be
COVERAGE: Final = 0.9
REJECTED: Final = 0.4  # share of the calibrating utterances that become `unknown`
BINS: Final = 15  # of confidence, for the calibration error
RESAMPLES: Final = 2000
LABELS: Final = range(len(EMOTIONS))


@dataclass(frozen=True, slots=True)
class Scores:
    """How well predictions agree with labels, each 0..1."""

    uar: float  # unweighted average recall = balanced accuracy
    accuracy: float
    macro_f1: float


def score(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Scores:
    """Compare labels with predictions, both shape (n,); MISSED counts as wrong."""
    labels = np.unique(truth)
    return Scores(
        uar=float(recall_score(truth, predicted, labels=labels, average="macro")),
        accuracy=float(accuracy_score(truth, predicted)),
        macro_f1=float(f1_score(truth, predicted, labels=labels, average="macro")),
    )


def bootstrap(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], speaker: NDArray[np.str_]
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each figure over speakers drawn with replacement.

    truth, predicted, speaker: shape (n,). Returns low and high end by the names in Scores.
    """
    of_speaker = [
        confusion(truth[speaker == s], predicted[speaker == s]) for s in np.unique(speaker)
    ]
    drawn = np.random.default_rng(0).integers(len(of_speaker), size=(RESAMPLES, len(of_speaker)))
    counts = np.array(of_speaker)[drawn].sum(axis=1)  # (RESAMPLES, 8, 9)
    right = np.diagonal(counts, axis1=1, axis2=2)
    asked, answered = counts.sum(axis=2), counts.sum(axis=1)[:, : len(EMOTIONS)]
    is_drawn = asked > 0  # emotions that the drawn speakers have; there is a mean over these
    figures = {
        "uar": (right / np.maximum(asked, 1)).mean(axis=1, where=is_drawn),
        "accuracy": right.sum(axis=1) / asked.sum(axis=1),
        "macro_f1": (2 * right / np.maximum(asked + answered, 1)).mean(axis=1, where=is_drawn),
    }
    return {
        name: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for name, values in figures.items()
    }


def calibrate(
    sources: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> Calibration:
    """Fit temperature, rejection threshold and conformal threshold.

    sources: labels, shape (n,), and probabilities, shape (n, 8), of utterances of several corpora
    or folds, each of which weighs the same. The temperature minimises the log-loss; the threshold
    rejects the least confident REJECTED; the conformal threshold is the quantile at COVERAGE.
    Source: Guo et al. (2017); Sadinle, Lei & Wasserman (2019); Tibshirani et al. (2019), Conformal
    Prediction Under Covariate Shift, for the weights.
    """
    truth = np.concatenate([labels for labels, _ in sources])
    p = np.concatenate([probabilities for _, probabilities in sources])
    weight = np.concatenate([np.full(len(labels), 1 / len(labels)) for labels, _ in sources])
    fitted = minimize_scalar(
        lambda t: log_loss(truth, soften(p, t), labels=LABELS, sample_weight=weight),
        bounds=(0.1, 10),
        method="bounded",
    )
    calibrated = soften(p, fitted.x)
    of_truth = calibrated[np.arange(len(truth)), truth]
    return Calibration(
        temperature=float(fitted.x),
        threshold=_quantile(calibrated.max(axis=1), weight, REJECTED),
        conformal=_quantile(of_truth, weight, 1 - COVERAGE),
        coverage=COVERAGE,
    )


def _quantile(values: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> float:
    """The largest value that at most this share of the weight lies below."""
    order = np.argsort(values)
    below = np.cumsum(weight[order]) - weight[order]
    return float(values[order][np.searchsorted(below, share * weight.sum(), side="right") - 1])


def reliability(
    truth: NDArray[np.int64],
    calibrated: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean confidence, accuracy and share of the utterances in each bin that holds any.

    weight: of each utterance, shape (n,); by default they weigh the same.
    """
    weight = np.ones(len(truth)) if weight is None else weight
    confidence, right = calibrated.max(axis=1), calibrated.argmax(axis=1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    held = [bins == number for number in range(BINS) if (bins == number).any()]
    return (
        np.array([np.average(confidence[b], weights=weight[b]) for b in held]),
        np.array([np.average(right[b], weights=weight[b]) for b in held]),
        np.array([weight[b].sum() / weight.sum() for b in held]),
    )


def calibration_error(
    truth: NDArray[np.int64],
    calibrated: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
) -> float:
    """Expected calibration error with BINS equal bins. Source: Guo et al. (2017)."""
    confidence, accuracy, share = reliability(truth, calibrated, weight)
    return float((share * np.abs(confidence - accuracy)).sum())


def risk_coverage(
    truth: NDArray[np.int64], calibrated: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of utterances answered, the surest first, and the share of errors among them."""
    order = np.argsort(-calibrated.max(axis=1), kind="stable")
    wrong = (calibrated.argmax(axis=1) != truth)[order]
    answered = np.arange(1, len(wrong) + 1)
    return answered / len(wrong), np.cumsum(wrong) / answered


def prediction_sets(calibrated: NDArray[np.float64], calibration: Calibration) -> NDArray[np.bool_]:
    """Which emotions are in each prediction set, shape (n, 8); the likeliest always is."""
    sets = calibrated >= calibration.conformal
    sets[np.arange(len(sets)), calibrated.argmax(axis=1)] = True
    return np.asarray(sets)


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts, shape (8, 9): true emotion by predicted one; the last column counts MISSED."""
    counts = confusion_matrix(truth, predicted, labels=[*LABELS, MISSED])
    return np.asarray(counts[:-1])
