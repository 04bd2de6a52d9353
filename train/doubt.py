"""How honest the doubt is: confidence, `unknown` and prediction sets on unknown speakers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Calibration, soften
from affectd.train.examples import Examples
from affectd.train.fits import SERVED, Data, Run
from affectd.train.folds import FOLD, WITHOUT
from affectd.train.predictions import FOLDS, LEFT_OUT, TEST_ONLY, Unseen
from affectd.train.scores import calibrate, calibration_error, prediction_sets


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Utterances of unseen speakers in all runs, calibrated on corpora that are none of theirs."""

    truth: NDArray[np.int64]  # shape (n,)
    speaker: NDArray[np.str_]
    p: NDArray[np.float64]  # shape (n, 8)
    sets: NDArray[np.bool_]  # shape (n, 8)
    is_known: NDArray[np.bool_]  # confident enough not to be `unknown`


def calibration_sources(
    examples: Examples, runs: Sequence[Run]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Labels and probabilities that calibrate, by where they are from.

    They are those of corpora that were left out, since every household is one; where no corpus was
    left out, those of the folds.
    """
    kind = WITHOUT if any(run.split.startswith(WITHOUT) for run in runs) else FOLD
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    for name in dict.fromkeys(run.split for run in runs if run.split.startswith(kind)):
        own = [run.test for run in runs if run.split == name]
        found[name] = (
            np.concatenate([examples.emotion[test.rows] for test in own]),
            np.concatenate([test.by_heard[SERVED] for test in own]),
        )
    return found


def calibrated_by_corpus(
    data: Data,
    folds: Sequence[Run],
    unseen: Sequence[Unseen],
    sources: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> dict[str, Calibrated]:
    """Calibrated utterances by corpus; none has a say in its own calibration."""
    first = data.examples.clips[0].corpus
    found = {}
    if any(name.startswith(WITHOUT) for name in sources):
        others = [one for name, one in sources.items() if name != f"{WITHOUT} {first}"]
        found[FOLDS] = _with(calibrate(others), data.examples, folds)
    for one in unseen:
        others = [of for name, of in sources.items() if name != f"{WITHOUT} {one.corpus}"]
        if others:
            found[one.corpus] = _with(calibrate(others), one.examples, one.runs)
    return found


def _with(calibration: Calibration, examples: Examples, runs: Sequence[Run]) -> Calibrated:
    rows = np.concatenate([run.test.rows for run in runs])
    p = np.concatenate([run.test.by_heard[SERVED] for run in runs])
    p = soften(p, calibration.temperature)
    return Calibrated(
        truth=examples.emotion[rows],
        speaker=examples.speaker[rows],
        p=p,
        sets=prediction_sets(p, calibration),
        is_known=p.max(axis=1) >= calibration.threshold,
    )


def honesty(
    unseen: Sequence[Unseen], calibrated: dict[str, Calibrated]
) -> dict[str, dict[str, Any]]:
    """How honest the doubt is, of the folds, and the mean over the corpora of a protocol."""
    by_corpus = {name: _honesty(one) for name, one in calibrated.items()}
    found: dict[str, dict[str, Any]] = {}
    if FOLDS in by_corpus:
        found[FOLDS] = by_corpus[FOLDS]
    for protocol in (LEFT_OUT, TEST_ONLY):
        own = {
            one.corpus: by_corpus[one.corpus]
            for one in unseen
            if one.corpus in by_corpus and one.protocol == protocol
        }
        if own:
            keys = next(iter(own.values()))
            mean = {key: float(np.mean([of[key] for of in own.values()])) for key in keys}
            pooled = calibration_error(
                np.concatenate([calibrated[name].truth for name in own]),
                np.concatenate([calibrated[name].p for name in own]),
                np.concatenate(
                    [np.full(len(calibrated[n].truth), 1 / len(calibrated[n].truth)) for n in own]
                ),
            )
            found[protocol] = mean | {"ece_pooled": pooled, "corpora": own}
    return found


def _honesty(of: Calibrated) -> dict[str, float]:
    """Of all eight emotions, but for `_of_its_emotions`: of those alone that the corpus has."""
    covered = of.sets[np.arange(len(of.truth)), of.truth]
    by_speaker = [covered[of.speaker == one].mean() for one in np.unique(of.speaker)]
    right = of.p.argmax(axis=1) == of.truth
    possible = np.unique(of.truth)
    chosen = possible[of.p[:, possible].argmax(axis=1)]
    return {
        "ece": calibration_error(of.truth, of.p),
        "accuracy": float(right.mean()),
        "coverage": float(np.mean(by_speaker)),
        "set_size": float(of.sets.sum(axis=1).mean()),
        "unknown": float((~of.is_known).mean()),
        "accuracy_if_known": _share(right[of.is_known]),
        "accuracy_if_known_of_its_emotions": _share((chosen == of.truth)[of.is_known]),
    }


def _share(of: NDArray[np.bool_]) -> float:
    return float(of.mean()) if of.size else 0.0
