"""Fitting every network on every fold with every seed: in parallel, and resumed where it ended."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

import joblib
from tqdm.auto import tqdm

from affectd.daemon.emotion import bundle, voice
from affectd.daemon.emotion.decision import combine
from affectd.daemon.errors import AffectdError
from affectd.daemon.speech import mfcc
from affectd.train.fits import GATE, Answers, Data, GateRun, Run, fit_one
from affectd.train.folds import COUNT
from affectd.train.recipe import Recipe
from affectd.train.stored import keep, load

JOINED: Final = "cnn+lstm"
NETWORKS: Final = ("svm", "mlp", "cnn", "lstm")
# The modules beside this one that a fit depends on; with others, runs that are kept are refused.
FITTING: Final = (
    *("adaptation", "batches", "classical", "examples", "fit", "fits", "folds", "gate", "networks"),
)


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
            joblib.delayed(fit_one)(data, system, fold, seed, config.recipe)
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
    """Runs in one folder share recipe, data and code; networks, folds and seeds may be added."""
    ours = {"recipe": asdict(config.recipe), "data": data.digest(), "code": _code()}
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
        differ = [name for name, value in mine if recipe.get(name) != value]
        differ += [f"the {what}" for what in ("data", "code") if theirs.get(what) != ours[what]]
        raise RunError(
            f"{folder} holds runs of another configuration (it differs in {', '.join(differ)}); "
            "name another --workdir, or remove that folder"
        )


def _code() -> str:
    """The code that a fit depends on, in short."""
    digest = hashlib.sha256()
    daemon = [Path(file) for file in (bundle.__file__, mfcc.__file__, voice.__file__)]
    for source in (*daemon, *(Path(__file__).with_name(f"{name}.py") for name in FITTING)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _path(folder: Path, seed: int, fold: int, system: str) -> Path:
    return folder / f"{system}-fold{fold + 1}-seed{seed}.joblib"


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
