"""What the runs say: figures of every system on speakers and corpora it has never heard."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from affectd.daemon.emotion.decision import CIRCUMPLEX, Calibration, soften
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import QUIET
from affectd.train.conditions import Trials
from affectd.train.doubt import Calibrated, calibrated_by_corpus, calibration_sources, honesty
from affectd.train.examples import Examples
from affectd.train.fits import MAIN, NOTHING, SERVED, Data, Run, heard_keys
from affectd.train.folds import FOLD
from affectd.train.predictions import LEFT_OUT, TEST_ONLY, Predictions, Unseen, predict, unseen
from affectd.train.scores import MISSED, bootstrap, calibrate, confusion, score


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system: figures for the report, and what its pictures are drawn from."""

    system: str
    figures: dict[str, Any]
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
    elsewhere = list(unseen(data, runs))
    for protocol in (LEFT_OUT, TEST_ONLY):
        corpora = {one.corpus: _corpus(one) for one in elsewhere if one.protocol == protocol}
        if corpora:
            figures[protocol] = {"mean": _mean_of(corpora), "corpora": corpora}
    calibrated = {}
    if sources := calibration_sources(examples, runs):
        calibration = calibrate(list(sources.values()))
        figures["calibration"] = asdict(calibration)
        calibrated = calibrated_by_corpus(data, folds, elsewhere, sources)
        figures["doubt"] = honesty(elsewhere, calibrated)
        if any("plain" in run.others for run in folds):
            figures["plain"] = _plain(folds, calibration)
    if data.trials is not None and "trials" in folds[0].others:
        figures["trials"] = _trials(data.trials, folds)
        figures["same_at_any_gain"] = same_at_any_gain(data.trials, folds)
    losses = [run.losses for run in folds if run.losses]
    return Evaluation(runs[0].system, figures, calibrated, losses)


def _corpus(one: Unseen) -> dict[str, Any]:
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
    """Recall of each emotion; UAR of each speaker and gender; over all seeds."""
    clips = [examples.clips[i] for i in told.clip]
    right = told.predicted == told.truth
    groups: dict[str, dict[str, float]] = {
        "per_class": {
            emotion: float(right[told.truth == number].mean())
            for number, emotion in enumerate(EMOTIONS)
            if (told.truth == number).any()
        }
    }
    for name in ("speaker", "gender"):
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
    told = [run.others["plain"] for run in runs if "plain" in run.others]
    p = np.concatenate([one.by_heard[SERVED] for one in told])
    p = soften(p, calibration.temperature)
    is_known = p.max(axis=1) >= calibration.threshold
    emotions = np.bincount(p[is_known].argmax(axis=1), minlength=len(EMOTIONS))
    readings = int(emotions.sum())
    return {
        "utterances": len(p),
        "readings": readings,
        "emotional_share": float((readings - emotions[list(QUIET)].sum()) / max(1, readings)),
    }
