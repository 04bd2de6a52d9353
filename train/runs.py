"""Fitting every network on every fold with every seed: in parallel, and resumed where it ended."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.daemon.emotion.decision import combine
from affectd.daemon.errors import AffectdError
from affectd.train.adaptation import HEARD, Adaptation
from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.folds import COUNT, Split, split
from affectd.train.recipe import Recipe
from affectd.train.stored import keep, load

JOINED: Final = "cnn+lstm"
GATE: Final = "gate"
NETWORKS: Final = ("svm", "mlp", "cnn", "lstm")
SERVED: Final = "heard_20"  # what a daemon is soon served with; calibration is for this


class RunError(AffectdError):
    """Runs cannot be made or taken up again."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What is fitted, and how often."""

    networks: tuple[str, ...] = NETWORKS
    folds: tuple[int, ...] = tuple(range(COUNT))
    seeds: tuple[int, ...] = (0, 1, 2)
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """All that is learnt from and tested with."""

    examples: Examples  # the first corpus is tested
    trials: Examples | None = None  # the first corpus under trying conditions
    noise: Examples | None = None  # what is not speech
    plain: Examples | None = None  # speech without acted emotion

    def digest(self) -> str:
        """What the data are, in short."""
        parts = [(e.clips, e.features.shape) for e in self._all]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    @property
    def _all(self) -> list[Examples]:
        return [e for e in (self.examples, self.trials, self.noise, self.plain) if e is not None]


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
    others: dict[str, Answers] = field(default_factory=dict)  # trials, noise, plain
    curves: dict[str, list[float]] = field(default_factory=dict)
    fitted: Weights | None = None  # of a single network


@dataclass(frozen=True, slots=True, eq=False)
class GateRun:
    """The speech gate on one fold with one seed: probability of speech, shape (n,), by part."""

    fold: int
    seed: int
    speech_test: NDArray[np.float64]
    rows: dict[str, NDArray[np.int64]]  # trials, noise, plain: of the held-out part
    p: dict[str, NDArray[np.float64]]


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
    """The fold that tests each clip, shape (len(clips),): dealt out by the hash of its speaker."""
    speakers = {clip.speaker for clip in sounds.clips}
    mixed = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).digest())
    fold = {speaker: number % COUNT for number, speaker in enumerate(mixed)}
    return np.array([fold[clip.speaker] for clip in sounds.clips])


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


def run_all(
    data: Data, config: RunConfig, folder: Path, jobs: int, scheduler: str | None = None
) -> tuple[list[Run], list[GateRun]]:
    """Fit what is not fitted yet, and return all runs, CNN and LSTM joined as well.

    folder: each run is kept there as it ends. scheduler: address of a Dask scheduler whose
    workers fit, instead of jobs processes here.
    Raises RunError if the folder holds runs of another configuration, or no scheduler answers.
    """
    _check_folder(folder, config, data)
    systems = (*config.networks, *([GATE] if data.noise is not None else []))
    tasks = list(product(config.seeds, config.folds, systems))
    found = {task: _path(folder, *task) for task in tasks}
    missing = [task for task in tasks if not found[task].exists()]
    with (
        _workers(scheduler, jobs, data),
        tqdm(total=len(tasks), initial=len(tasks) - len(missing), desc="fits", unit="fit") as bar,
    ):
        fits = joblib.Parallel(return_as="generator_unordered")(
            joblib.delayed(_fit)(data, system, fold, seed, config.recipe)
            for seed, fold, system in missing
        )
        for run in fits:
            system = run.system if isinstance(run, Run) else GATE
            keep(run, _path(folder, run.seed, run.fold, system), compress=3)
            bar.update()
    kept = [load(path) for path in found.values()]
    runs = [run for run in kept if isinstance(run, Run)]
    return [*runs, *_joined(runs)], [run for run in kept if isinstance(run, GateRun)]


def load_all(data: Data, config: RunConfig, folder: Path) -> list[Run]:
    """The runs of single networks that a folder holds.

    Raises RunError if they were made with another configuration, or there are none.
    """
    _check_folder(folder, config, data)
    kept = [load(path) for path in sorted(folder.glob("*-fold*-seed*.joblib"))]
    runs = [run for run in kept if isinstance(run, Run)]
    if not runs:
        raise RunError(f"{folder} holds no runs; run `affectd train evaluate` first")
    return runs


def took_s(folder: Path) -> float:
    """Seconds from the first start of the runs in a folder to the end of the last one."""
    ended = [path.stat().st_mtime for path in folder.glob("*-fold*-seed*.joblib")]
    return max(ended) - (folder / "config.json").stat().st_mtime


def quiet_one_thread() -> None:
    """Keep TensorFlow to one thread, as many processes run, and from talking."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return  # this process has fitted before: it is set already


@contextmanager
def _workers(scheduler: str | None, jobs: int, data: Data) -> Iterator[None]:
    if scheduler is None:
        with joblib.parallel_config(n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise RunError(
            "--scheduler needs Dask; install it with `pip install 'affectd[cluster]'`"
        ) from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise RunError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from error
    with client, joblib.parallel_config(backend="dask", scatter=[data]):
        yield


def _check_folder(folder: Path, config: RunConfig, data: Data) -> None:
    """Runs in one folder share recipe and data; networks, folds and seeds may be added."""
    ours = {"recipe": asdict(config.recipe), "data": data.digest()}
    path = folder / "config.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(ours, indent=2) + "\n")
        return
    try:
        theirs = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); remove {folder} and run again") from error
    if theirs != json.loads(json.dumps(ours)):
        recipe = theirs.get("recipe", {})
        mine = asdict(config.recipe).items()
        differ = [name for name, value in mine if recipe.get(name) != value] or ["the recordings"]
        raise RunError(
            f"{folder} holds runs of another configuration (it differs in {', '.join(differ)}); "
            "name another --workdir, or remove that folder"
        )


def _path(folder: Path, seed: int, fold: int, system: str) -> Path:
    return folder / f"{system}-fold{fold + 1}-seed{seed}.joblib"


def _fit(data: Data, system: str, fold: int, seed: int, recipe: Recipe) -> "Run | GateRun":
    quiet_one_thread()
    if system == GATE:
        return _fit_gate(data, fold, seed, recipe)
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
    for name, sounds in (("noise", data.noise), ("plain", data.plain)):
        if sounds is not None:
            keys = everything[:1] if name == "noise" else [everything[0], *asked]
            others[name] = _answers(fitted, sounds, held_out(sounds, fold), keys, seed)
    return Run(
        system=system,
        fold=fold,
        seed=seed,
        test=_answers(fitted, examples, parts.test, everything, seed),
        validation=_answers(fitted, examples, parts.validation, everything, seed),
        others=others,
        curves=fitted.curves,
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


def _fit_gate(data: Data, fold: int, seed: int, recipe: Recipe) -> GateRun:
    """Fit the gate without the test and validation speakers, and without a sixth of the sounds."""
    from affectd.train import gate

    examples, noise = data.examples, data.noise
    assert noise is not None  # noqa: S101
    parts = split(examples, fold, seed)
    rows = taught(data, parts, fold)
    prior = statistics(examples, rows)
    noise_rows = np.flatnonzero(dealt(noise)[noise.clip] != fold)
    fitted = gate.fit(examples, rows, noise, noise_rows, prior, recipe.gate_epochs, seed)

    def judge(which: Examples, of: NDArray[np.int64]) -> NDArray[np.float64]:
        return gate.probabilities(fitted, which, of, prior)

    held: dict[str, tuple[Examples, NDArray[np.int64]]] = {"noise": (noise, held_out(noise, fold))}
    if data.plain is not None:
        held["plain"] = (data.plain, held_out(data.plain, fold))
    if data.trials is not None:
        testers = np.unique(examples.speaker[parts.test])
        held["trials"] = (data.trials, np.flatnonzero(np.isin(data.trials.speaker, testers)))
    return GateRun(
        fold=fold,
        seed=seed,
        speech_test=judge(examples, parts.test),
        rows={name: of for name, (_, of) in held.items()},
        p={name: judge(which, of) for name, (which, of) in held.items()},
    )


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    found = {(run.system, run.fold, run.seed): run for run in runs}
    for (system, fold, seed), cnn in found.items():
        lstm = found.get(("lstm", fold, seed))
        if system == "cnn" and lstm is not None:
            yield Run(
                system=JOINED,
                fold=fold,
                seed=seed,
                test=_together(cnn.test, lstm.test),
                validation=_together(cnn.validation, lstm.validation),
                others={k: _together(cnn.others[k], lstm.others[k]) for k in cnn.others},
            )


def _together(one: Answers, two: Answers) -> Answers:
    both = {key: combine([p, two.by_heard[key]]) for key, p in one.by_heard.items()}
    return Answers(one.rows, both)
