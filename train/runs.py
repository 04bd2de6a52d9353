"""Fitting every network on every fold with every seed: in parallel, and resumed where it ended."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import joblib
from tqdm.auto import tqdm

from affectd.daemon.emotion import bundle, voice
from affectd.daemon.emotion.decision import combine
from affectd.daemon.errors import AffectdError
from affectd.daemon.speech import mfcc
from affectd.train.examples import digest
from affectd.train.fits import Answers, Data, Run, fit_one
from affectd.train.folds import COUNT
from affectd.train.gates import GateRun, fit_gate
from affectd.train.recipe import Recipe
from affectd.train.stored import keep, load

JOINED: Final = "cnn+lstm"
NETWORKS: Final = ("svm", "mlp", "cnn", "lstm")
# The modules beside this one that fits depend on; with others, runs that are kept are refused.
FITTING: Final = (
    *("adaptation", "batches", "classical", "examples", "fit", "fits", "folds", "networks"),
)
FITTING_GATES: Final = ("examples", "fit", "fits", "folds", "gate", "gates", "networks")


class RunError(AffectdError):
    """Runs cannot be made or taken up again."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What is fitted, and how often."""

    networks: tuple[str, ...] = NETWORKS
    folds: tuple[int, ...] = tuple(range(COUNT))
    seeds: tuple[int, ...] = (0, 1, 2)
    recipe: Recipe = field(default_factory=Recipe)


def run_all(
    data: Data, config: RunConfig, folder: Path, jobs: int, scheduler: str | None = None
) -> list[Run]:
    """Fit what is not fitted yet, and return all runs, CNN and LSTM joined as well.

    folder: each run is kept there as it ends. scheduler: address of a Dask scheduler whose
    workers fit, instead of jobs processes here.
    Raises RunError if the folder holds runs of another configuration, or no scheduler answers.
    """
    _check_folder(folder, _made_of(config, data))
    tasks = {
        folder / f"{system}-fold{fold + 1}-seed{seed}.joblib": (system, fold, seed, config.recipe)
        for seed, fold, system in product(config.seeds, config.folds, config.networks)
    }
    runs: list[Run] = _all(fit_one, data, tasks, jobs, scheduler)
    return [*runs, *_joined(runs)]


def run_gates(
    data: Data,
    config: RunConfig,
    epochs: int,
    folder: Path,
    jobs: int,
    scheduler: str | None = None,
) -> list[GateRun]:
    """The same for the speech gate, which heeds the folds and the seeds of a configuration."""
    everything = digest(data.examples, data.trials, data.noise, data.plain)
    made = {"gate_epochs": epochs, "data": everything, "code": _code(FITTING_GATES)}
    _check_folder(folder, made)
    tasks = {
        folder / f"gate-fold{fold + 1}-seed{seed}.joblib": (fold, seed, epochs)
        for seed, fold in product(config.seeds, config.folds)
    }
    return _all(fit_gate, data, tasks, jobs, scheduler)


def _all(
    fit: Callable[..., Any],
    data: Data,
    tasks: dict[Path, tuple[Any, ...]],
    jobs: int,
    scheduler: str | None,
) -> list[Any]:
    """The results of fit for every task, those that are kept under its path and those that miss."""
    missing = {path: task for path, task in tasks.items() if not path.exists()}
    with (
        _workers(scheduler, jobs, data),
        tqdm(total=len(tasks), initial=len(tasks) - len(missing), desc="fits", unit="fit") as bar,
    ):
        made = joblib.Parallel(return_as="generator_unordered")(
            joblib.delayed(_named)(path, fit, data, *task) for path, task in missing.items()
        )
        for path, run in made:
            keep(run, path, compress=3)
            bar.update()
    return [load(path) for path in tasks]


def _named(path: Path, fit: Callable[..., Any], *task: Any) -> tuple[Path, Any]:
    return path, fit(*task)


def load_all(data: Data, config: RunConfig, folder: Path) -> list[Run]:
    """The runs of single networks that a folder holds.

    Raises RunError if they were made with another configuration, or there are none.
    """
    _check_folder(folder, _made_of(config, data))
    runs: list[Run] = [load(path) for path in sorted(folder.glob("*-fold*-seed*.joblib"))]
    if not runs:
        raise RunError(f"{folder} holds no runs; run `affectd train evaluate` first")
    return runs


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


def _made_of(config: RunConfig, data: Data) -> dict[str, Any]:
    """Runs in one folder share recipe, data and code; networks, folds and seeds may be added."""
    heard = digest(data.examples, data.trials, data.plain)
    return {**asdict(config.recipe), "data": heard, "code": _code(FITTING)}


def _check_folder(folder: Path, ours: dict[str, Any]) -> None:
    path = folder / "config.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(ours, indent=2) + "\n")
        return
    try:
        theirs = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); remove {folder} and run again") from error
    if differ := [name for name, value in ours.items() if theirs.get(name) != value]:
        raise RunError(
            f"{folder} holds runs of another configuration (it differs in {', '.join(differ)}); "
            "name another --workdir, or remove that folder"
        )


def _code(modules: Sequence[str]) -> str:
    """The code that a fit depends on, in short."""
    whole = hashlib.sha256()
    daemon = [Path(file) for file in (bundle.__file__, mfcc.__file__, voice.__file__)]
    for source in (*daemon, *(Path(__file__).with_name(f"{name}.py") for name in modules)):
        whole.update(source.read_bytes())
    return whole.hexdigest()[:12]


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
