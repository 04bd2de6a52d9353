"""One fit: a system, learnt on the training part of a fold, and what it says of the others."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.train.adaptation import HEARD, Adaptation
from affectd.train.examples import Examples, Statistics
from affectd.train.folds import COUNT, Split, split
from affectd.train.recipe import Recipe

HEARD_BY_NODE: Final = 20  # utterances of a voice: what a daemon is soon served with
SERVED: Final = f"heard_{HEARD_BY_NODE}"  # calibration is for this


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """All that is learnt from and tested with."""

    examples: Examples  # the first corpus is tested
    trials: Examples | None = None  # the first corpus under trying conditions
    noise: Examples | None = None  # what is not speech
    plain: Examples | None = None  # speech without acted emotion


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one system says of some rows, by how much it had heard of the voice before."""

    rows: NDArray[np.int64]
    by_heard: dict[str, NDArray[np.float64]]  # heard_20, … -> shape (n, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A fitted network, to be built again by its recipe."""

    arrays: list[NDArray[np.float32]]
    recipe: Recipe
    prior: Statistics  # that it normalises with


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One system on one fold with one seed."""

    system: str  # a network's name, or several joined by +
    fold: int
    seed: int
    test: Answers
    validation: Answers
    others: dict[str, Answers] = field(default_factory=dict)  # trials, plain
    curves: dict[str, list[float]] = field(default_factory=dict)
    fitted: Weights | None = None  # of a single network
    took_s: float = 0.0  # to fit and to ask, on one thread


def heard_keys() -> Iterator[tuple[str, int, bool]]:
    """Names, counts and whether only neutral and calm utterances were heard before."""
    yield "heard_0", 0, False
    for count in HEARD[1:]:
        yield f"heard_{count}", count, False
        yield f"heard_{count}_neutral", count, True


def held_out(sounds: Examples, fold: int) -> NDArray[np.int64]:
    """Rows of sounds that one fold tests."""
    return np.flatnonzero(dealt(sounds)[sounds.clip] == fold)


def dealt(sounds: Examples) -> NDArray[np.int64]:
    """The fold that tests each clip, shape (len(clips),): dealt out by the hash of its speaker.

    -1 for a clip that none tests.
    """
    speakers = {clip.speaker for clip in sounds.clips if clip.is_tested}
    mixed = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).digest())
    fold = {speaker: number % COUNT for number, speaker in enumerate(mixed)}
    return np.array([fold.get(clip.speaker, -1) for clip in sounds.clips])


def learnt(sounds: Examples) -> NDArray[np.bool_]:
    """Which rows of sounds may be learnt from, shape (n,); others only test."""
    return np.array([clip.is_learnt for clip in sounds.clips])[sounds.clip]


def taught(data: Data, parts: Split, fold: int) -> NDArray[np.int64]:
    """The training rows without plain speech that the fold tests."""
    if data.plain is None:
        return parts.train
    tested = [
        clip.speaker
        for clip, of in zip(data.plain.clips, dealt(data.plain), strict=True)
        if of == fold
    ]
    return parts.train[~np.isin(data.examples.speaker[parts.train], tested)]


def quiet_one_thread() -> None:
    """Keep TensorFlow to one thread, as many processes run, and from talking."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return  # this process has fitted before: it is set already


def fit_one(data: Data, system: str, fold: int, seed: int, recipe: Recipe) -> Run:
    """Fit one system on one fold with one seed, in this process."""
    began = time.monotonic()
    quiet_one_thread()
    examples = data.examples
    parts = split(examples, fold, seed)
    rows = taught(data, parts, fold)
    if system == "svm":
        from affectd.train.classical import fit as fit_classical

        fitted: Any = fit_classical(examples, rows, parts.validation, seed)
    else:
        from affectd.train.fit import fit

        fitted = fit(examples, rows, parts.validation, system, recipe, seed)
    everything = list(heard_keys())
    asked = [key for key in everything if key[0] == SERVED]
    others = {}
    if data.trials is not None:
        testers = np.unique(examples.speaker[parts.test])
        tried = np.flatnonzero(np.isin(data.trials.speaker, testers))
        others["trials"] = _answers(fitted, data.trials, tried, asked, seed)
    if data.plain is not None:
        rows = held_out(data.plain, fold)
        others["plain"] = _answers(fitted, data.plain, rows, asked, seed)
    return Run(
        system=system,
        fold=fold,
        seed=seed,
        test=_answers(fitted, examples, parts.test, everything, seed),
        validation=_answers(fitted, examples, parts.validation, everything, seed),
        others=others,
        curves=fitted.curves,
        took_s=time.monotonic() - began,
        fitted=None
        if system == "svm"
        else Weights(fitted.model.get_weights(), recipe, fitted.prior),
    )


def _answers(
    fitted: Any,
    examples: Examples,
    rows: NDArray[np.int64],
    keys: Sequence[tuple[str, int, bool]],
    seed: int,
) -> Answers:
    adaptation = Adaptation(examples, rows, fitted.prior)
    random = np.random.default_rng(seed)
    by_heard = {}
    for key, count, quiet in keys:
        counts, calm = np.full(len(rows), count), np.full(len(rows), quiet)
        normalised = adaptation.normalised(rows, counts, calm, random)
        by_heard[key] = np.asarray(fitted.predict(normalised), np.float64)
    return Answers(rows, by_heard)
