"""Fitting every network on every fold with every seed: in parallel, and resumed where it ended."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import joblib
from tqdm.auto import tqdm

from affectd.daemon.emotion.decision import combine
from affectd.daemon.errors import AffectdError
from affectd.train import gates
from affectd.train.examples import digest
from affectd.train.fits import BASELINES, ENCODED, Answers, Data, Run, fit_one
from affectd.train.folds import ALL, FOLD, names, split
from affectd.train.recipe import Recipe
from affectd.train.stored import code_digest, keep, load, write_text

JOINED: Final = "cnn+lstm"
# The modules beside this one that fits depend on; with others, runs that are kept are refused.
FITTING: Final = (
    *("adaptation", "batches", "classical", "examples", "fit", "fits", "folds", "networks"),
)
CONFIG: Final = "config.json"  # in a folder of runs: what all of them are made of


class RunError(AffectdError):
    """Runs cannot be made or taken up again."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Which systems are fitted, how, on which splits, and with which seeds."""

    systems: tuple[str, ...] = (*ENCODED, *BASELINES)
    seeds: tuple[int, ...] = (0, 1, 2)
    recipe: Recipe = field(default_factory=Recipe)
    splits: tuple[str, ...] = ()  # of folds.names(); all if empty

    def tasks(self, data: Data) -> Iterator[tuple[str, str, int]]:
        """System, split and seed of every fit; baselines are fitted on folds alone."""
        splits = self.splits or tuple(names(data.examples))
        for seed, name, system in product(self.seeds, splits, self.systems):
            if name.startswith(FOLD) or system in ENCODED:
                yield system, name, seed


def run_all(
    data: Data, config: RunConfig, folder: Path, jobs: int, scheduler: str | None = None
) -> list[Run]:
    """Fit what is not fitted yet, and return all runs, CNN and LSTM joined as well.

    folder: each run is kept there as it ends. scheduler: address of a Dask scheduler whose
    workers fit, instead of jobs processes here.
    Raises RunError if the folder holds runs of another configuration, or no scheduler answers.
    """
    for name in {name for _, name, _ in config.tasks(data)}:
        split(data.examples, name)  # which says at once what is missing
    _check_folder(folder, made_of(config, data))
    data.examples.measured()
    if set(config.systems) & set(BASELINES):
        data.spectral  # noqa: B018 -- computed here, and shared
    tasks = {
        folder / file_of(system, name, seed): (system, name, seed, config.recipe)
        for system, name, seed in config.tasks(data)
    }
    runs: list[Run] = _all(fit_one, data, tasks, jobs, scheduler)
    return [*runs, *_joined(runs)]


def run_gates(
    data: Data,
    config: RunConfig,
    steps: int,
    folder: Path,
    jobs: int,
    scheduler: str | None = None,
) -> list[gates.GateRun]:
    """The same for the speech gate: every fold with every seed, and one fitted on everything."""
    _check_folder(folder, gates.made_of(data, steps))
    folds = [name for name in names(data.examples) if name.startswith(FOLD)]
    tasks = {
        folder / file_of("gate", name, seed): (name, seed, steps)
        for seed, name in [*product(config.seeds, folds), (config.seeds[0], ALL)]
    }
    return _all(gates.fit_gate, data, tasks, jobs, scheduler)


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


def file_of(system: str, name: str, seed: int) -> str:
    """Name the file that keeps a run of a system on a split."""
    return f"{system} {name} seed {seed}.joblib".replace(" ", "-")


def made_of(config: RunConfig, data: Data) -> dict[str, Any]:
    """Describe the runs of one folder: all have the same recipe, data and code.

    Systems, splits and seeds may be added.
    """
    heard = digest(data.examples, data.test_only, data.trials, data.plain)
    return {**asdict(config.recipe), "data": heard, "code": code_digest(FITTING)}


def read_config(folder: Path) -> dict[str, Any]:
    """Read what the runs in a folder are made of. Raises RunError if that is damaged."""
    path = folder / CONFIG
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); remove {folder} and run again") from error


def _check_folder(folder: Path, ours: dict[str, Any]) -> None:
    if not (folder / CONFIG).exists():
        write_text(json.dumps(ours, indent=2) + "\n", folder / CONFIG)
        return
    theirs = read_config(folder)
    if differ := [name for name, value in ours.items() if theirs.get(name) != value]:
        raise RunError(
            f"{folder} holds runs of another configuration (it differs in {', '.join(differ)}); "
            "name another --workdir, or remove that folder"
        )


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    found = {(run.system, run.split, run.seed): run for run in runs}
    for (system, name, seed), cnn in found.items():
        lstm = found.get(("lstm", name, seed))
        if system == "cnn" and lstm is not None:
            yield Run(
                system=JOINED,
                split=name,
                seed=seed,
                test=_together(cnn.test, lstm.test),
                others={k: _together(cnn.others[k], lstm.others[k]) for k in cnn.others},
            )


def _together(one: Answers, two: Answers) -> Answers:
    both = {key: combine([p, two.by_heard[key]]) for key, p in one.by_heard.items()}
    return Answers(one.rows, both)
