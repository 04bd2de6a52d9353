"""The networks that `affectd train` has fitted to everything, with the report on them."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import runtime_interpreter
from affectd.export.convert import ExportError
from affectd.train import report as reports
from affectd.train import stored
from affectd.train.encoder import Encoder
from affectd.train.examples import Statistics
from affectd.train.fits import ENCODED, Run, Weights
from affectd.train.folds import ALL
from affectd.train.gates import GateRun
from affectd.train.recipe import Recipe

GATE: Final = "speech"
EVALUATE: Final = "affectd train evaluate"
FIT_GATE: Final = "affectd train gate"
REPORT: Final = "evaluation"  # folder in the working folder


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Everything that a bundle is made of."""

    report: dict[str, Any]
    encoder: Encoder
    shape: tuple[int, int]  # of the encoder's frames: time, width
    recipe: Recipe
    prior: Statistics  # that all networks normalise with
    weights: dict[str, list[NDArray[np.float32]]]  # cnn, lstm, speech -> those of its Keras network


def load(workdir: Path) -> Fitted:
    """Read and check what `affectd train evaluate` and `affectd train gate` left in a folder.

    Raises ExportError if something is missing, damaged, or does not belong to the rest.
    """
    report = reports.load(workdir / REPORT)
    encoder = _encoder(workdir, report)
    seed = int(entry(report, "config", "seeds", 0))
    runs = {name: _run(workdir, name, seed) for name in ENCODED}
    for name, weights in runs.items():
        _check_recipe(_path(workdir, name, seed), weights.recipe, report)
    gate_path = workdir / "gates" / f"gate-{ALL}-seed-{seed}.joblib"
    gate_weights, gate_prior = _gate(gate_path)
    prior = runs["cnn"].prior
    for path, other in (
        (_path(workdir, "lstm", seed), runs["lstm"].prior),
        (gate_path, gate_prior),
    ):
        _check_prior(path, prior, other)
    arrays = {name: of.arrays for name, of in runs.items()} | {GATE: gate_weights}
    return Fitted(report, encoder, _shape(encoder), runs["cnn"].recipe, prior, arrays)


def entry(report: dict[str, Any], *keys: str | int, command: str = EVALUATE) -> Any:
    """What a report has under keys, one inside the other; raise ExportError if it lacks it.

    command: that writes it.
    """
    found: Any = report
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            where = ", ".join(map(str, keys))
            raise ExportError(
                f"the report in {REPORT} does not have the entry {where}; run `{command}` again"
            ) from None
    return found


def _encoder(workdir: Path, report: dict[str, Any]) -> Encoder:
    path = workdir / str(entry(report, "encoder", "file"))
    expected = str(entry(report, "encoder", "sha256"))
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ExportError(
            f"the encoder {path} cannot be read ({error.strerror}); run `{EVALUATE}` again"
        ) from error
    if actual != expected:
        raise ExportError(
            f"the encoder {path} has SHA-256 {actual[:12]}…, the report says {expected[:12]}…; "
            f"remove it and run `{EVALUATE}` again"
        )
    return Encoder(path, actual)


def _shape(encoder: Encoder) -> tuple[int, int]:
    interpreter = runtime_interpreter()(model_path=str(encoder.path))
    _, time, width = interpreter.get_output_details()[0]["shape"]
    return int(time), int(width)


def _path(workdir: Path, name: str, seed: int) -> Path:
    return workdir / "runs" / f"{name}-{ALL}-seed-{seed}.joblib"


def _run(workdir: Path, name: str, seed: int) -> Weights:
    path = _path(workdir, name, seed)
    run = _stored(path, EVALUATE)
    if not isinstance(run, Run) or run.fitted is None:
        raise ExportError(f"{path} holds no weights; remove it and run `{EVALUATE}` again")
    return run.fitted


def _gate(path: Path) -> tuple[list[NDArray[np.float32]], Statistics]:
    run = _stored(path, FIT_GATE)
    if not isinstance(run, GateRun) or run.prior is None or not run.fitted:
        raise ExportError(f"{path} holds no weights; remove it and run `{FIT_GATE}` again")
    return run.fitted, run.prior


def _stored(path: Path, command: str) -> Any:
    if not path.exists():
        raise ExportError(f"{path} does not exist; run `{command}` first")
    return stored.load(path)


def _check_recipe(path: Path, recipe: Recipe, report: dict[str, Any]) -> None:
    """The figures of the report must be those of networks that were fitted alike."""
    ours, theirs = asdict(recipe), entry(report, "config", "recipe")
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            raise ExportError(
                f"{path} was fitted with {name} {ours.get(name)}, the report is of networks with "
                f"{name} {theirs.get(name)}; run `{EVALUATE}` again with one recipe"
            )


def _check_prior(path: Path, expected: Statistics, found: Statistics) -> None:
    """A bundle has one normalisation for all its networks."""
    same = (
        np.array_equal(expected.mean, found.mean),
        np.array_equal(expected.std, found.std),
    )
    if not all(same):
        raise ExportError(
            f"{path} normalises with other statistics than the CNN, but a bundle has one for all; "
            f"run `{EVALUATE}` and `{FIT_GATE}` on the same recordings, with virtual voices"
        )
