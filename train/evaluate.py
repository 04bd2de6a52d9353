"""What the runs say: figures of every system on speakers it has never heard."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import QUIET
from affectd.train.conditions import Trials
from affectd.train.examples import Examples
from affectd.train.fits import SERVED, Answers, Data, GateRun, Run, dealt, heard_keys
from affectd.train.folds import speakers_tested
from affectd.train.runs import JOINED
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

HOUR_S: Final = 3600
NOISE_PER_HOUR: Final = 0.5  # household noises that pass the gate; fewer become readings


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


def readings(
    data: Data, noise_heard: Examples, runs: Sequence[Run], gates: Sequence[GateRun]
) -> dict[str, Any]:
    """What a daemon with CNN, LSTM and gate would publish of noise, plain and acted speech.

    All thresholds come from elsewhere: the networks' from the validation actors of the fold, the
    gate's from noises of other folds. Sounds are those that the fold has not taught to its gate and
    networks, as recorded: their virtual voices lie in rooms and noises that are learnt from.
    """
    examples = data.examples
    joined = [run for run in runs if run.system == JOINED]
    calibrations = by_fold(examples, joined)
    passed = {fold: gate_threshold(noise_heard, gates, without=fold) for fold in calibrations}
    of_gate = {(gate.fold, gate.seed): gate for gate in gates}
    noise, plain = _Count(), _Count()
    trials: dict[str, list[float]] = {}
    speech = []
    for run in joined:
        gate, calibration = of_gate[run.fold, run.seed], calibrations[run.fold]
        open_at = passed[run.fold]
        speech.append((gate.speech_test >= open_at).mean())
        for name, sounds, count in (("noise", data.noise, noise), ("plain", data.plain, plain)):
            if sounds is not None:
                p = soften(run.others[name].by_heard[SERVED], calibration.temperature)
                known = (gate.p[name] >= open_at) & (p.max(axis=1) >= calibration.threshold)
                clips = np.flatnonzero(dealt(sounds) == run.fold)
                passes = gate.p[name] >= open_at
                count.add(sounds, clips, gate.rows[name], passes, known, p.argmax(axis=1))
        if data.trials is not None:
            condition = data.trials.condition[gate.rows["trials"]]
            for number, name in enumerate(Trials.NAMES):
                here = gate.p["trials"][condition == number] >= open_at
                trials.setdefault(name, []).append(float(here.mean()))
    return {
        "gate": {
            "threshold": gate_threshold(noise_heard, gates),
            "speech_kept": float(np.mean(speech)),
            "kept_in_trials": {name: float(np.mean(kept)) for name, kept in trials.items()},
        },
        "household": noise_heard.clips[0].corpus,
        "noise": noise.figures(),
        "plain": plain.figures(),
    }


def gate_threshold(noise: Examples, gates: Sequence[GateRun], without: int | None = None) -> float:
    """The lowest threshold that lets NOISE_PER_HOUR household noises through, in all their voices.

    noise: its first corpus is household noise. Every gate judged the noises it had not learnt
    from; those of the fold `without` are left out, so that its test has no say in it.
    """
    household = noise.clips[0].corpus
    p, hours = [], 0.0
    of_clip = np.array([clip.corpus == household for clip in noise.clips])
    for gate in gates:
        if gate.fold != without:
            here = noise.corpus[gate.rows["noise"]] == household
            p.append(gate.p["noise"][here])
            hours += float(noise.seconds[of_clip & (dealt(noise) == gate.fold)].sum() / HOUR_S)
    surest = np.sort(np.concatenate(p))[::-1]
    allowed = int(NOISE_PER_HOUR * hours)
    if allowed >= len(surest):
        return 0.0
    return float(np.nextafter(surest[allowed], 1))


@cache
def _seconds(path: Path) -> float:
    return float(soundfile.info(path).duration)


class _Count:
    """Readings of sounds, by corpus, over all runs."""

    def __init__(self) -> None:
        self._parts: dict[str, list[dict[str, float]]] = {}
        self._emotions: dict[str, NDArray[np.int64]] = {}

    def add(
        self,
        sounds: Examples,
        clips: NDArray[np.int64],
        rows: NDArray[np.int64],
        passed: NDArray[np.bool_],
        known: NDArray[np.bool_],
        emotion: NDArray[np.int64],
    ) -> None:
        """Count those of the rows that are as recorded; clips: all that one run has not heard."""
        as_recorded = sounds.condition[rows] == 0
        of_clip = np.array([clip.corpus for clip in sounds.clips])
        for name in np.unique(of_clip[clips]):
            here = as_recorded & (sounds.corpus[rows] == name)
            heard = clips[of_clip[clips] == name]
            self._parts.setdefault(str(name), []).append(
                {
                    "hours": sum(_seconds(sounds.clips[clip].path) for clip in heard) / HOUR_S,
                    "utterances": float(here.sum()),
                    "passed": float((here & passed).sum()),
                    "readings": float((here & known).sum()),
                    "emotional": float((here & known & ~np.isin(emotion, QUIET)).sum()),
                }
            )
            counts = np.bincount(emotion[here & known], minlength=len(EMOTIONS))
            self._emotions[str(name)] = counts + self._emotions.get(
                str(name), np.zeros_like(counts)
            )

    def figures(self) -> dict[str, dict[str, Any]]:
        """Sums over the runs, and rates."""
        table: dict[str, dict[str, Any]] = {}
        for name, parts in self._parts.items():
            total = {key: float(sum(part[key] for part in parts)) for key in parts[0]}
            table[name] = total | {
                "readings_per_hour": total["readings"] / total["hours"],
                "emotional_share": total["emotional"] / max(1.0, total["readings"]),
                "emotions": dict(zip(EMOTIONS, self._emotions[name].tolist(), strict=True)),
            }
        return table
