"""Speaker-independent evaluation: six folds, several seeds, every network."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.daemon.emotion.decision import Calibration, combine
from affectd.train.examples import Examples
from affectd.train.folds import FOLDS, split
from affectd.train.scores import MISSED, Scores, calibrate, score

JOINED: Final = "cnn+lstm"


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What is fitted, and how often."""

    networks: tuple[str, ...] = ("mlp", "cnn", "lstm")
    folds: tuple[int, ...] = tuple(range(len(FOLDS)))
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 45
    jobs: int = 1  # processes


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One system on one fold with one seed; probabilities have shape (n, 8)."""

    system: str  # a network's name, or several joined by +
    fold: int
    seed: int
    test: NDArray[np.int64]  # rows of examples
    test_p: NDArray[np.float64]
    validation: NDArray[np.int64]
    validation_p: NDArray[np.float64]
    curves: dict[str, list[float]]
    best_epoch: int


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What one system reaches on actors it has never heard, over all folds and seeds."""

    system: str
    per_seed: tuple[Scores, ...]  # mean over the folds
    per_fold_uar: tuple[float, ...]  # mean over the seeds
    truth: NDArray[np.int64]  # of every clip in every run
    predicted: NDArray[np.int64]
    calibration: Calibration  # from the validation actors of all runs


def run_all(examples: Examples, config: EvaluateConfig) -> list[Run]:
    """Fit every network on every fold with every seed, in parallel, and join CNN and LSTM."""
    tasks = list(product(config.seeds, config.folds, config.networks))
    parallel = joblib.Parallel(n_jobs=config.jobs, return_as="generator_unordered")
    fits = parallel(
        joblib.delayed(_run)(examples, network, fold, seed, config.epochs)
        for seed, fold, network in tasks
    )
    runs = list(tqdm(fits, total=len(tasks), desc="fits", unit="fit"))
    systems = (*config.networks, JOINED)
    return sorted(
        [*runs, *_joined(runs)], key=lambda run: (systems.index(run.system), run.seed, run.fold)
    )


def evaluate(examples: Examples, runs: Sequence[Run]) -> list[Evaluation]:
    """Score the runs of each system, clip by clip."""
    systems = dict.fromkeys(run.system for run in runs)
    return [_evaluate(examples, [r for r in runs if r.system == system]) for system in systems]


def _run(examples: Examples, network: str, fold: int, seed: int, epochs: int) -> Run:
    quiet_one_thread()
    from affectd.train.fit import FitConfig, fit

    parts = split(examples, fold, seed)
    config = FitConfig(network, seed, epochs=epochs)
    fitted = fit(examples, parts.train, parts.validation, config)
    return Run(
        system=network,
        fold=fold,
        seed=seed,
        test=parts.test,
        test_p=fitted.predict(examples.features[parts.test]).astype(np.float64),
        validation=parts.validation,
        validation_p=fitted.predict(examples.features[parts.validation]).astype(np.float64),
        curves=fitted.curves,
        best_epoch=fitted.best_epoch,
    )


def quiet_one_thread() -> None:
    """Keep TensorFlow to one thread, as many processes run, and from talking."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return  # this process has fitted before: it is set already


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    found = {(run.system, run.fold, run.seed): run for run in runs}
    for (system, fold, seed), cnn in found.items():
        lstm = found.get(("lstm", fold, seed))
        if system == "cnn" and lstm is not None:
            yield Run(
                system=JOINED,
                fold=fold,
                seed=seed,
                test=cnn.test,
                test_p=combine([cnn.test_p, lstm.test_p]),
                validation=cnn.validation,
                validation_p=combine([cnn.validation_p, lstm.validation_p]),
                curves={},
                best_epoch=0,
            )


def _evaluate(examples: Examples, runs: list[Run]) -> Evaluation:
    clips = [_by_clip(examples, run) for run in runs]
    scores = [score(truth, predicted) for truth, predicted in clips]
    seeds = list(dict.fromkeys(run.seed for run in runs))
    folds = list(dict.fromkeys(run.fold for run in runs))
    rows = np.concatenate([run.validation for run in runs])
    return Evaluation(
        system=runs[0].system,
        per_seed=tuple(
            _mean([s for s, run in zip(scores, runs, strict=True) if run.seed == seed])
            for seed in seeds
        ),
        per_fold_uar=tuple(
            float(np.mean([s.uar for s, r in zip(scores, runs, strict=True) if r.fold == fold]))
            for fold in folds
        ),
        truth=np.concatenate([truth for truth, _ in clips]),
        predicted=np.concatenate([predicted for _, predicted in clips]),
        calibration=calibrate(
            examples.emotion[rows], np.concatenate([run.validation_p for run in runs])
        ),
    )


def _by_clip(examples: Examples, run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and predictions of every clip of the test actors, from the mean of its utterances."""
    clips = examples.corpus.clips
    asked = [i for i, clip in enumerate(clips) if clip.actor in FOLDS[run.fold]]
    logs = np.log(np.maximum(run.test_p, 1e-12))
    predicted = []
    for clip in asked:
        own = logs[examples.clip[run.test] == clip]
        predicted.append(int(own.mean(axis=0).argmax()) if len(own) else MISSED)
    return np.array([clips[i].emotion for i in asked]), np.array(predicted)


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(
        uar=float(np.mean([s.uar for s in scores])),
        accuracy=float(np.mean([s.accuracy for s in scores])),
        macro_f1=float(np.mean([s.macro_f1 for s in scores])),
    )
