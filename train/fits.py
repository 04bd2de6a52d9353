"""One fit: a system, learnt on the training part of a split, and what it says of the others."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.train.adaptation import HEARD, Adaptation, Before
from affectd.train.encoder import Encoder
from affectd.train.examples import Examples, Statistics
from affectd.train.folds import ALL, COUNT, FOLD, split
from affectd.train.quiet import silenced
from affectd.train.recipe import Recipe
from affectd.train.sounds import UNLABELLED

HEARD_BY_NODE: Final = 20  # utterances of a voice: what a daemon is soon served with
SERVED: Final = f"heard_{HEARD_BY_NODE}"  # calibration is for this
NOTHING: Final = "heard_0"
QUIET: Final = f"{SERVED}_neutral"
ENCODED: Final = ("cnn", "lstm")  # systems that read the encoder's frames
SPECTRAL: Final = "mfcc "  # before the name of a network that reads MFCCs and has no encoder
BASELINES: Final = ("svm", "mlp", f"{SPECTRAL}cnn", f"{SPECTRAL}lstm")


@dataclass(frozen=True, eq=False)
class Data:
    """All that is learnt from and tested with."""

    examples: Examples  # the first corpus is tested on folds
    encoder: Encoder  # that made all frames
    test_only: Examples | None = None  # of corpora that nothing is learnt from
    trials: Examples | None = None  # the first corpus under trying conditions
    noise: Examples | None = None  # what is not speech
    plain: Examples | None = None  # speech without acted emotion

    @cached_property
    def spectral(self) -> "Data":
        """The same as MFCCs, without what only the shipped networks are asked."""
        return Data(self.examples.spectral().measured(), self.encoder)


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
    """One system on one split with one seed."""

    system: str  # a network's name, or several joined by +
    split: str
    seed: int
    test: Answers  # of examples; of data.test_only where the split is ALL
    others: dict[str, Answers] = field(default_factory=dict)  # trials, plain
    losses: list[float] = field(default_factory=list)
    fitted: Weights | None = None  # of a single network
    took_s: float = 0.0  # to fit and to ask, on one thread


def heard_keys() -> Iterator[tuple[str, int, bool]]:
    """Names, counts and whether only neutral and calm utterances were heard before."""
    yield NOTHING, 0, False
    for count in HEARD[1:]:
        yield f"heard_{count}", count, False
        yield f"heard_{count}_neutral", count, True


MAIN: Final = tuple(key for key in heard_keys() if key[0] in (NOTHING, SERVED, QUIET))


def held_out(sounds: Examples, fold: int) -> NDArray[np.int64]:
    """Rows of sounds that one fold, from 1, tests."""
    return np.flatnonzero(dealt(sounds)[sounds.clip] == fold)


def dealt(sounds: Examples) -> NDArray[np.int64]:
    """The fold, from 1, that tests each clip: dealt out by the hash of its speaker.

    Shape (len(clips),); -1 for a clip that none tests.
    """
    speakers = {clip.speaker for clip in sounds.clips if clip.is_tested}
    mixed = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).digest())
    fold = {speaker: 1 + number % COUNT for number, speaker in enumerate(mixed)}
    return np.array([fold.get(clip.speaker, -1) for clip in sounds.clips])


def spoken(data: Data, name: str) -> NDArray[np.int64]:
    """The training rows of a split, without plain speech that its fold tests."""
    train = split(data.examples, name).train
    if data.plain is None or not name.startswith(FOLD):
        return train
    fold = int(name.removeprefix(FOLD))
    tested = [
        clip.speaker
        for clip, of in zip(data.plain.clips, dealt(data.plain), strict=True)
        if of == fold
    ]
    return train[~np.isin(data.examples.speaker[train], tested)]


def taught(data: Data, name: str) -> NDArray[np.int64]:
    """Those of the spoken training rows that have an emotion."""
    rows = spoken(data, name)
    return np.asarray(rows[data.examples.emotion[rows] != UNLABELLED])


def quiet_one_thread() -> None:
    """Keep TensorFlow to one thread, as many processes run, and from talking."""
    with silenced():
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            return  # this process has fitted before: it is set already
        tf.config.list_logical_devices()  # which looks for others, and says that there are none


def fit_one(data: Data, system: str, name: str, seed: int, recipe: Recipe) -> Run:
    """Fit one system on one split with one seed, in this process."""
    began = time.monotonic()
    quiet_one_thread()
    rows = taught(data, name)
    if system in BASELINES:
        data = data.spectral
    if system == "svm":
        from affectd.train.classical import fit as fit_classical

        fitted: Any = fit_classical(data.examples, rows, seed)
    else:
        from affectd.train.fit import fit

        fitted = fit(data.examples, rows, system.removeprefix(SPECTRAL), recipe, seed)
    return replace(
        _asked(data, fitted, Run(system, name, seed, Answers(np.empty(0, int), {}))),
        losses=fitted.losses,
        took_s=time.monotonic() - began,
        fitted=None
        if system in BASELINES
        else Weights(fitted.model.get_weights(), recipe, fitted.prior),
    )


def _asked(data: Data, fitted: Any, run: Run) -> Run:
    """The run with what the fitted system says."""
    parts = split(data.examples, run.split)
    if run.split == ALL:
        if data.test_only is None:
            return run
        rows = np.arange(len(data.test_only.clip))
        return replace(run, test=answers(fitted, data.test_only, rows, MAIN, run.seed))
    if not run.split.startswith(FOLD):
        return replace(run, test=answers(fitted, data.examples, parts.test, MAIN, run.seed))
    others = {}
    if data.trials is not None:
        testers = np.unique(data.examples.speaker[parts.test])
        rows = np.flatnonzero(np.isin(data.trials.speaker, testers))
        others["trials"] = answers(fitted, data.trials, rows, MAIN[:2], run.seed)
    if data.plain is not None:
        rows = held_out(data.plain, int(run.split.removeprefix(FOLD)))
        rows = rows[data.plain.condition[rows] == 0]
        if rows.size:
            others["plain"] = answers(fitted, data.plain, rows, MAIN[1:2], run.seed)
    everything = tuple(heard_keys())
    test = answers(fitted, data.examples, parts.test, everything, run.seed)
    return replace(run, test=test, others=others)


def answers(
    fitted: Any,
    examples: Examples,
    rows: NDArray[np.int64],
    keys: Sequence[tuple[str, int, bool]],
    seed: int,
) -> Answers:
    """What a fitted system says of rows; what was heard before is drawn from the same rows."""
    adaptation = Adaptation(examples, rows, fitted.prior)
    by_heard = {}
    for key, count, is_quiet in keys:
        random = np.random.default_rng(seed)
        before = Before.QUIET if is_quiet else Before.ANY
        p = [
            fitted.predict(
                adaptation.normalised(
                    some, np.full(len(some), count), np.full(len(some), before), random
                )
            )
            for some in np.array_split(rows, range(256, len(rows), 256))
        ]
        by_heard[key] = np.concatenate(p).astype(np.float64)
    return Answers(rows, by_heard)
