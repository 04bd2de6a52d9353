"""What the runs say: figures of every system on speakers and corpora it has never heard."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import CIRCUMPLEX, Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import QUIET
from affectd.train.conditions import Trials
from affectd.train.examples import Examples
from affectd.train.fits import MAIN, NOTHING, SERVED, Answers, Data, Run, heard_keys
from affectd.train.folds import ALL, FOLD, WITHOUT, left_out
from affectd.train.scores import (
    MISSED,
    bootstrap,
    calibrate,
    calibration_error,
    confusion,
    prediction_sets,
    score,
)

LEFT_OUT: Final = "left_out"
TEST_ONLY: Final = "test_only"
FOLDS: Final = "folds"


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Clips of test speakers in all runs of a system, and what each was taken for."""

    clip: NDArray[np.int64]  # shape (n,), index into clips
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]  # MISSED for a clip without an utterance
    seed: NDArray[np.int64]
    split: NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Utterances of unseen speakers in all runs, calibrated on corpora that are none of theirs."""

    truth: NDArray[np.int64]  # shape (n,)
    speaker: NDArray[np.str_]
    p: NDArray[np.float64]  # shape (n, 8)
    sets: NDArray[np.bool_]  # shape (n, 8)
    is_known: NDArray[np.bool_]  # confident enough not to be `unknown`


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system: figures for the report, and what its pictures are drawn from."""

    system: str
    figures: dict[str, Any]
    folds: Predictions
    calibrated: dict[str, Calibrated]  # by corpus; the folds' is FOLDS
    losses: list[list[float]]


def evaluate(data: Data, runs: Sequence[Run]) -> list[Evaluation]:
    """Score the runs of each system."""
    systems = dict.fromkeys(run.system for run in runs)
    return [_evaluate(data, [run for run in runs if run.system == name]) for name in systems]


def _evaluate(data: Data, runs: list[Run]) -> Evaluation:
    examples = data.examples
    folds = [run for run in runs if run.split.startswith(FOLD)]
    heard = {key: predict(examples, folds, key) for key, _, _ in heard_keys()}
    served = heard[SERVED]
    figures: dict[str, Any] = {
        "uar": {key: _over_seeds(examples, told, "uar") for key, told in heard.items()},
        "accuracy": _over_seeds(examples, served, "accuracy"),
        "macro_f1": _over_seeds(examples, served, "macro_f1"),
        **_groups(examples, served),
        "confusion": confusion(served.truth, served.predicted).tolist(),
    }
    unseen = list(_unseen(data, runs))
    for protocol in (LEFT_OUT, TEST_ONLY):
        corpora = {one.corpus: _corpus(one) for one in unseen if one.protocol == protocol}
        if corpora:
            figures[protocol] = {"mean": _mean_of(corpora), "corpora": corpora}
    calibrated = {}
    if sources := calibration_sources(examples, runs):
        figures["calibration"] = asdict(calibrate(list(sources.values())))
        calibrated = _calibrated(data, folds, unseen, sources)
        figures["doubt"] = _doubt(unseen, calibrated)
        if "plain" in folds[0].others:
            figures["plain"] = _plain(folds, calibrate(list(sources.values())))
    if data.trials is not None and "trials" in folds[0].others:
        figures["trials"] = _trials(data.trials, folds)
        figures["same_at_any_gain"] = same_at_any_gain(data.trials, folds)
    losses = [run.losses for run in folds if run.losses]
    return Evaluation(runs[0].system, figures, served, calibrated, losses)


@dataclass(frozen=True, slots=True, eq=False)
class _Unseen:
    """The runs that are tested on one corpus of which they have learnt nothing."""

    protocol: str
    corpus: str
    examples: Examples
    runs: list[Run]


def _unseen(data: Data, runs: Sequence[Run]) -> Iterator[_Unseen]:
    for corpus in left_out(data.examples):
        if own := [run for run in runs if run.split == f"{WITHOUT} {corpus}"]:
            yield _Unseen(LEFT_OUT, corpus, data.examples, own)
    final = [run for run in runs if run.split == ALL and run.test.by_heard]
    if data.test_only is not None and final:
        for corpus in dict.fromkeys(clip.corpus for clip in data.test_only.clips):
            here = data.test_only.corpus == corpus
            own = [_only(run, here) for run in final]
            yield _Unseen(TEST_ONLY, corpus, data.test_only, own)


def _only(run: Run, here: NDArray[np.bool_]) -> Run:
    """A run with the answers to some rows alone."""
    chosen = here[run.test.rows]
    by_heard = {key: p[chosen] for key, p in run.test.by_heard.items()}
    return Run(run.system, run.split, run.seed, Answers(run.test.rows[chosen], by_heard))


def predict(
    examples: Examples,
    runs: Sequence[Run],
    key: str,
    answers: Callable[[Run], Answers] = lambda run: run.test,
    condition: int = 0,
) -> Predictions:
    """What every clip of the testers was taken for: the mean log-probability of its utterances.

    Only emotions that the tested clips have are told apart.
    """
    parts = []
    for run in runs:
        given = answers(run)
        here = examples.condition[given.rows] == condition
        clips = examples.clip[given.rows[here]]
        asked = _asked(examples, given.rows)
        truth = np.array([examples.clips[i].emotion for i in asked])
        possible = np.unique(truth)
        logs = np.zeros((len(examples.clips), len(EMOTIONS)))
        np.add.at(logs, clips, np.log(np.maximum(given.by_heard[key][here], 1e-12)))
        chosen = possible[logs[asked][:, possible].argmax(axis=1)]
        parts.append(
            Predictions(
                clip=asked,
                truth=truth,
                predicted=np.where(np.isin(asked, clips), chosen, MISSED),
                seed=np.full(len(asked), run.seed),
                split=np.full(len(asked), run.split),
            )
        )
    names = Predictions.__slots__
    return Predictions(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def _asked(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """All clips of the speakers, corpora and emotions of some rows, even without an utterance."""
    clips = [examples.clips[i] for i in np.unique(examples.clip[rows])]
    wanted = {(clip.corpus, clip.speaker, clip.emotion) for clip in clips}
    return np.array(
        [
            number
            for number, clip in enumerate(examples.clips)
            if (clip.corpus, clip.speaker, clip.emotion) in wanted
        ]
    )


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


def _calibrated(
    data: Data,
    folds: Sequence[Run],
    unseen: Sequence[_Unseen],
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


def _doubt(
    unseen: Sequence[_Unseen], calibrated: dict[str, Calibrated]
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
    covered = of.sets[np.arange(len(of.truth)), of.truth]
    by_speaker = [covered[of.speaker == one].mean() for one in np.unique(of.speaker)]
    right = of.p.argmax(axis=1) == of.truth
    return {
        "ece": calibration_error(of.truth, of.p),
        "accuracy": float(right.mean()),
        "coverage": float(np.mean(by_speaker)),
        "set_size": float(of.sets.sum(axis=1).mean()),
        "unknown": float((~of.is_known).mean()),
        "accuracy_if_known": float(right[of.is_known].mean()) if of.is_known.any() else 0.0,
    }


def _corpus(one: _Unseen) -> dict[str, Any]:
    """Figures of one corpus that was not learnt from."""
    heard = {key: predict(one.examples, one.runs, key) for key, _, _ in MAIN}
    served = heard[SERVED]
    chance = 1 / len(np.unique(served.truth))
    return {
        "uar": {key: _over_seeds(one.examples, told, "uar") for key, told in heard.items()},
        "chance": chance,
        "clips": int(len(served.clip) / len(one.runs)),
        **_groups(one.examples, served),
        **_halves(served),
        "confusion": confusion(served.truth, served.predicted).tolist(),
    }


def _mean_of(corpora: dict[str, Any]) -> dict[str, Any]:
    """Mean UAR over corpora, and its deviation over the seeds."""
    found = {}
    for key, _, _ in MAIN:
        per_seed = np.mean([of["uar"][key]["per_seed"] for of in corpora.values()], axis=0)
        found[key] = _spread(per_seed.tolist())
    return found


def _halves(told: Predictions) -> dict[str, float]:
    """UAR of high against low arousal and valence, as the circumplex has them; else left out."""
    found = {}
    for number, name in enumerate(("valence", "arousal")):
        side = np.sign(CIRCUMPLEX[:, number]).astype(int)
        asked = (side[told.truth] != 0) & (told.predicted != MISSED)
        truth, predicted = side[told.truth[asked]], side[told.predicted[asked]]
        if len(np.unique(truth)) > 1:
            found[name] = score(truth, predicted).uar
    return found


def _over_seeds(examples: Examples, told: Predictions, name: str) -> dict[str, Any]:
    """Mean over the splits, of which mean and deviation over the seeds, and a bootstrap."""
    per_seed = [
        float(
            np.mean(
                [
                    getattr(score(told.truth[here], told.predicted[here]), name)
                    for split in np.unique(told.split[told.seed == seed])
                    if (here := (told.seed == seed) & (told.split == split)).any()
                ]
            )
        )
        for seed in np.unique(told.seed)
    ]
    speaker = np.array([examples.clips[i].speaker for i in told.clip])
    interval = bootstrap(told.truth, told.predicted, speaker)[name]
    return _spread(per_seed) | {"interval": list(interval)}


def _spread(per_seed: list[float]) -> dict[str, Any]:
    std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else 0.0
    return {"mean": float(np.mean(per_seed)), "std": std, "per_seed": per_seed}


def _groups(examples: Examples, told: Predictions) -> dict[str, dict[str, float]]:
    """Recall of each emotion; UAR of each speaker, gender and intensity; over all seeds."""
    clips = [examples.clips[i] for i in told.clip]
    right = told.predicted == told.truth
    groups: dict[str, dict[str, float]] = {
        "per_class": {
            emotion: float(right[told.truth == number].mean())
            for number, emotion in enumerate(EMOTIONS)
            if (told.truth == number).any()
        }
    }
    for name in ("speaker", "gender", "intensity"):
        values = np.array([getattr(clip, name) for clip in clips])
        groups[f"per_{name}"] = {
            str(value): score(told.truth[values == value], told.predicted[values == value]).uar
            for value in np.unique(values)
            if value
        }
    return groups


def _trials(trials: Examples, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    table = {}
    for number, name in enumerate(Trials.NAMES):
        told = predict(trials, runs, SERVED, lambda run: run.others["trials"], number)
        scores = _over_seeds(trials, told, "uar")
        table[name] = {
            "uar": scores["mean"],
            "std": scores["std"],
            "not_heard": float((told.predicted == MISSED).mean()),
        }
    return table


def same_at_any_gain(trials: Examples, runs: Sequence[Run]) -> float:
    """Share of the clips heard as recorded that are taken for the same emotion at all gains."""
    told = [
        predict(trials, runs, NOTHING, lambda run: run.others["trials"], number).predicted
        for number in Trials.GAINS
    ]
    is_heard = told[0] != MISSED
    return float((np.array(told) == told[0]).all(axis=0)[is_heard].mean())


def _plain(runs: Sequence[Run], calibration: Calibration) -> dict[str, float]:
    """Plain speech as recorded: how much of it is read as another emotion than neutral or calm."""
    p = np.concatenate([run.others["plain"].by_heard[SERVED] for run in runs])
    p = soften(p, calibration.temperature)
    is_known = p.max(axis=1) >= calibration.threshold
    emotions = np.bincount(p[is_known].argmax(axis=1), minlength=len(EMOTIONS))
    readings = int(emotions.sum())
    return {
        "utterances": len(p),
        "readings": readings,
        "emotional_share": float(1 - emotions[list(QUIET)].sum() / max(1, readings)),
    }
