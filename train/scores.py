"""Figures of merit, and calibration from actors that no weight was fitted to."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from affectd.daemon.emotion.decision import Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS

MISSED: Final = -1  # what a clip without an utterance is predicted to be
COVERAGE: Final = 0.9
REJECTED: Final = 0.1  # share of validation utterances that become `unknown`


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


def calibrate(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Calibration:
    """Fit temperature, rejection threshold and conformal threshold.

    truth: shape (n,); probabilities: shape (n, 8), of utterances of validation actors.
    The temperature minimises the log-loss; the threshold rejects the least confident tenth; the
    conformal threshold is the split-conformal quantile at 90 % coverage.
    Source: Guo et al. (2017); Sadinle, Lei & Wasserman (2019).
    """
    labels = range(len(EMOTIONS))
    fitted = minimize_scalar(
        lambda t: log_loss(truth, soften(probabilities, t), labels=labels),
        bounds=(0.2, 5),
        method="bounded",
    )
    calibrated = soften(probabilities, fitted.x)
    misfit = 1 - calibrated[np.arange(len(truth)), truth]
    level = min(1.0, np.ceil((len(truth) + 1) * COVERAGE) / len(truth))
    return Calibration(
        temperature=float(fitted.x),
        threshold=float(np.quantile(calibrated.max(axis=1), REJECTED)),
        conformal=float(1 - np.quantile(misfit, level, method="higher")),
        coverage=COVERAGE,
    )
