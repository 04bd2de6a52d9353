"""What the runs say: figures of every system on speakers it has never heard."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import QUIET
from affectd.train.conditions import Trials
from affectd.train.examples import Examples
from affectd.train.fits import SERVED, Answers, Data, Run, heard_keys
from affectd.train.folds import speakers_tested
from affectd.train.scores import (
    MISSED,
    Scores,
    bootstrap,
    calibrate,
    calibration_error,
    confusion,
    prediction_sets,
    score,
)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Clips of test speakers in all runs of a system, and what each was taken for."""

    clip: NDArray[np.int64]  # shape (n,), index into examples.clips
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]  # MISSED for a clip without an utterance
    seed: NDArray[np.int64]
    fold: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Utterances of test speakers in all runs, calibrated on validation speakers of their fold."""

    row: NDArray[np.int64]  # of examples
    truth: NDArray[np.int64]
    p: NDArray[np.float64]  # shape (n, 8)
    sets: NDArray[np.bool_]  # shape (n, 8)
    known: NDArray[np.bool_]  # confident enough not to be `unknown`


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system: figures for the report, and what its pictures are drawn from."""

    system: str
    figures: dict[str, Any]
    told: Told
    calibrated: Calibrated
    curves: list[dict[str, list[float]]]


def evaluate(data: Data, runs: Sequence[Run]) -> list[Evaluation]:
    """Score the runs of each system."""
    systems = dict.fromkeys(run.system for run in runs)
    return [_evaluate(data, [run for run in runs if run.system == name]) for name in systems]


def _evaluate(data: Data, runs: list[Run]) -> Evaluation:
    examples = data.examples
    heard = {key: tell(examples, runs, key) for key, _, _ in heard_keys()}
    served = heard[SERVED]
    calibrations = by_fold(examples, runs)
    calibrated = _calibrated(examples, runs, calibrations)
    figures: dict[str, Any] = {
        "uar": {key: _over_seeds(examples, told, "uar") for key, told in heard.items()},
        "accuracy": _over_seeds(examples, served, "accuracy"),
        "macro_f1": _over_seeds(examples, served, "macro_f1"),
        "per_fold_uar": {
            str(fold + 1): _scores(served, served.fold == fold).uar
            for fold in np.unique(served.fold)
        },
        **_groups(examples, served),
        "confusion": confusion(served.truth, served.predicted).tolist(),
        "calibration": asdict(calibrate(*_validation(examples, runs))),
        "ece": calibration_error(calibrated.truth, calibrated.p),
        "ece_before": _error_before(examples, runs),
        "coverage": _coverage(examples, calibrated),
        "unknown": {
            "share": float((~calibrated.known).mean()),
            "accuracy_of_the_rest": float(
                (calibrated.p.argmax(axis=1) == calibrated.truth)[calibrated.known].mean()
            ),
        },
        "validation_uar": float(np.mean([validation_uar(examples, run) for run in runs])),
    }
    if data.trials is not None:
        figures["trials"] = _trials(data.trials, runs)
    if data.plain is not None:
        figures["plain"] = _plain(data.plain, runs, calibrations)
    return Evaluation(
        runs[0].system, figures, served, calibrated, [run.curves for run in runs if run.curves]
    )


def tell(
    examples: Examples,
    runs: Sequence[Run],
    key: str,
    answers: Callable[[Run], Answers] = lambda run: run.test,
    condition: int = 0,
) -> Told:
    """What every clip of the testers was taken for: the mean log-probability of its utterances."""
    parts = []
    for run in runs:
        speakers = set(speakers_tested(examples, run.fold))
        asked = [i for i, clip in enumerate(examples.clips) if clip.speaker in speakers]
        given = answers(run)
        here = examples.condition[given.rows] == condition
        logs = np.zeros((len(examples.clips), len(EMOTIONS)))
        clips = examples.clip[given.rows[here]]
        np.add.at(logs, clips, np.log(np.maximum(given.by_heard[key][here], 1e-12)))
        spoken = np.isin(asked, clips)
        parts.append(
            Told(
                clip=np.array(asked),
                truth=np.array([examples.clips[i].emotion for i in asked]),
                predicted=np.where(spoken, logs[asked].argmax(axis=1), MISSED),
                seed=np.full(len(asked), run.seed),
                fold=np.full(len(asked), run.fold),
            )
        )
    return Told(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Told.__slots__}
    )


def by_fold(examples: Examples, runs: Sequence[Run]) -> dict[int, Calibration]:
    """For each fold the calibration from its own validation speakers, over all seeds.

    A fold's test speakers validate in other folds, never in its own.
    """
    folds = sorted({run.fold for run in runs})
    return {
        fold: calibrate(*_validation(examples, [run for run in runs if run.fold == fold]))
        for fold in folds
    }


def _validation(
    examples: Examples, runs: Sequence[Run]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities of validation utterances, as served after a while."""
    return (
        np.concatenate([examples.emotion[run.validation.rows] for run in runs]),
        np.concatenate([run.validation.by_heard[SERVED] for run in runs]),
    )


def validation_uar(examples: Examples, run: Run) -> float:
    """UAR of the validation utterances of one run: what recipes are chosen by."""
    predicted = run.validation.by_heard[SERVED].argmax(axis=1)
    return score(examples.emotion[run.validation.rows], predicted).uar


def _error_before(examples: Examples, runs: Sequence[Run]) -> float:
    truth = np.concatenate([examples.emotion[run.test.rows] for run in runs])
    return calibration_error(truth, np.concatenate([run.test.by_heard[SERVED] for run in runs]))


def _calibrated(
    examples: Examples, runs: Sequence[Run], calibrations: dict[int, Calibration]
) -> Calibrated:
    ps, sets, known = [], [], []
    for run in runs:
        calibration = calibrations[run.fold]
        p = soften(run.test.by_heard[SERVED], calibration.temperature)
        ps.append(p)
        sets.append(prediction_sets(p, calibration))
        known.append(p.max(axis=1) >= calibration.threshold)
    rows = np.concatenate([run.test.rows for run in runs])
    return Calibrated(
        rows,
        examples.emotion[rows],
        np.concatenate(ps),
        np.concatenate(sets),
        np.concatenate(known),
    )


def _coverage(examples: Examples, of: Calibrated) -> dict[str, Any]:
    covered = of.sets[np.arange(len(of.truth)), of.truth]
    speaker = examples.speaker[of.row]
    per_actor = {str(s): float(covered[speaker == s].mean()) for s in np.unique(speaker)}
    return {
        "mean": float(np.mean(list(per_actor.values()))),
        "min_actor": min(per_actor.values()),
        "max_actor": max(per_actor.values()),
        "set_size": float(of.sets.sum(axis=1).mean()),
        "per_actor": per_actor,
    }


def _over_seeds(examples: Examples, told: Told, name: str) -> dict[str, Any]:
    """Mean over the folds, of which mean and deviation over the seeds, and a bootstrap."""
    per_seed = [
        float(
            np.mean(
                [
                    getattr(_scores(told, (told.seed == seed) & (told.fold == fold)), name)
                    for fold in np.unique(told.fold[told.seed == seed])
                ]
            )
        )
        for seed in np.unique(told.seed)
    ]
    speaker = np.array([examples.clips[i].speaker for i in told.clip])
    return {
        "mean": float(np.mean(per_seed)),
        "std": float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else 0.0,
        "per_seed": per_seed,
        "interval": list(bootstrap(told.truth, told.predicted, speaker)[name]),
    }


def _scores(told: Told, which: NDArray[np.bool_]) -> Scores:
    return score(told.truth[which], told.predicted[which])


def _groups(examples: Examples, told: Told) -> dict[str, dict[str, float]]:
    """Recall of each emotion; UAR of each actor, gender and intensity; over all seeds."""
    clips = [examples.clips[i] for i in told.clip]
    right = told.predicted == told.truth
    groups: dict[str, dict[str, float]] = {
        "per_class": {
            emotion: float(right[told.truth == number].mean())
            for number, emotion in enumerate(EMOTIONS)
            if (told.truth == number).any()
        }
    }
    for group, name in (("actor", "speaker"), ("gender", "gender"), ("intensity", "intensity")):
        values = np.array([getattr(clip, name) for clip in clips])
        groups[f"per_{group}"] = {
            str(value): _scores(told, values == value).uar for value in np.unique(values) if value
        }
    return groups


def _trials(trials: Examples, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    table = {}
    for number, name in enumerate(Trials.NAMES):
        told = tell(trials, runs, SERVED, lambda run: run.others["trials"], number)
        scores = _over_seeds(trials, told, "uar")
        table[name] = {
            "uar": scores["mean"],
            "std": scores["std"],
            "not_heard": float((told.predicted == MISSED).mean()),
        }
    return table


def _plain(
    plain: Examples, runs: Sequence[Run], calibrations: dict[int, Calibration]
) -> dict[str, float]:
    """What is read out of plain speech as recorded, whose readers a fold has not learnt from."""
    utterances, emotions = 0, np.zeros(len(EMOTIONS), int)
    for run in runs:
        answers, calibration = run.others["plain"], calibrations[run.fold]
        as_recorded = plain.condition[answers.rows] == 0
        p = soften(answers.by_heard[SERVED][as_recorded], calibration.temperature)
        known = p.max(axis=1) >= calibration.threshold
        utterances += len(p)
        emotions += np.bincount(p[known].argmax(axis=1), minlength=len(EMOTIONS))
    readings = int(emotions.sum())
    return {
        "utterances": utterances,
        "readings": readings,
        "emotional_share": float(1 - emotions[list(QUIET)].sum() / max(1, readings)),
    }
