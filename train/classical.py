"""The classical baseline: a support vector machine over functionals of an utterance."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import HEARD, Adaptation
from affectd.train.examples import Examples, Statistics, statistics

PENALTY: Final = 3.0  # C
PERCENTILES: Final = (5, 25, 75, 95)


class Functionals:
    """A fitted machine; its margins stand for log-probabilities until they are calibrated."""

    def __init__(self, machine: Any, prior: Statistics) -> None:
        self._machine, self.prior = machine, prior
        self.losses: list[float] = []

    def predict(self, normalised: NDArray[np.float32]) -> NDArray[np.float64]:
        """Pseudo-probabilities, shape (n, 8), of normalised features."""
        margins = self._machine.decision_function(functionals(normalised))
        if margins.ndim == 1:  # of two emotions, scikit-learn gives the margin of the second
            margins = np.stack([-margins, margins], axis=1)
        powers = np.zeros((len(normalised), len(EMOTIONS)))
        powers[:, self._machine.classes_] = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit(examples: Examples, train: NDArray[np.int64], seed: int) -> Functionals:
    """Fit to the utterances of the first corpus as recorded, adapted like the networks'."""
    first = examples.clips[0].corpus
    prior = statistics(examples, train)
    own = train[(examples.corpus[train] == first) & (examples.condition[train] == 0)]
    machine = make_pipeline(
        StandardScaler(), SVC(C=PENALTY, class_weight="balanced", decision_function_shape="ovr")
    )
    machine.fit(functionals(_adapted(examples, own, prior, seed)), examples.emotion[own])
    return Functionals(machine, prior)


def functionals(normalised: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean, deviation, percentiles and movement of each coefficient, and the length.

    normalised: shape (n, time, n_mfcc), padding zero. Returns shape (n, 8 n_mfcc + 1).
    """
    return np.array([_functionals(one[np.abs(one).max(axis=1) > 0]) for one in normalised])


def _functionals(x: NDArray[np.float32]) -> NDArray[np.float64]:
    steps = np.diff(x, axis=0)
    percentiles = np.percentile(x, PERCENTILES, axis=0).ravel()
    movement = (np.abs(steps).mean(axis=0), steps.std(axis=0))
    return np.concatenate([x.mean(axis=0), x.std(axis=0), percentiles, *movement, [len(x)]])


def _adapted(
    examples: Examples, rows: NDArray[np.int64], prior: Statistics, seed: int
) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    counts, before = random.choice(HEARD, len(rows)), random.integers(2, size=len(rows))
    return Adaptation(examples, rows, prior).normalised(rows, counts, before, random)
