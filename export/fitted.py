"""The networks that `affectd train` has fitted to everything, with the report on them."""

import hashlib
from dataclasses import dataclass
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
from affectd.train.runs import CONFIG, file_of, read_config
from affectd.train.tables import GATE

SPEECH: Final = "speech"  # the network that is the gate
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

    Raises AffectdError if something is missing, damaged, or does not belong to the rest.
    """
    report = reports.load(workdir / REPORT)
    encoder = _encoder(workdir, report)
    runs, gates = workdir / "runs", workdir / "gates"
    _check_made_of(runs, entry(report, "runs"), EVALUATE)
    _check_made_of(gates, entry(report, GATE, "runs", command=FIT_GATE), FIT_GATE)
    seed = int(entry(report, "config", "seeds", 0))
    cnn_path, lstm_path = (runs / file_of(name, ALL, seed) for name in ENCODED)
    gate_path = gates / file_of("gate", ALL, seed)
    cnn, lstm = _run(cnn_path), _run(lstm_path)
    gate_weights, gate_prior = _gate(gate_path)
    _check_prior(lstm_path, cnn.prior, lstm.prior)
    _check_prior(gate_path, cnn.prior, gate_prior)
    weights = {"cnn": cnn.arrays, "lstm": lstm.arrays, SPEECH: gate_weights}
    return Fitted(report, encoder, _shape(encoder), cnn.recipe, cnn.prior, weights)


def entry(report: dict[str, Any], *keys: str | int, command: str = EVALUATE) -> Any:
    """Look up an entry of a report by its keys, one inside the other.

    Raises ExportError if the report lacks it.

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


def _run(path: Path) -> Weights:
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
    _check_exists(path, command)
    return stored.load(path)


def _check_exists(path: Path, command: str) -> None:
    if not path.exists():
        raise ExportError(f"{path} does not exist; run `{command}` first")


def _check_made_of(folder: Path, measured: dict[str, Any], command: str) -> None:
    """Refuse networks of another recipe, other data or other code than those measured."""
    _check_exists(folder / CONFIG, command)
    fitted = read_config(folder)
    for name in dict.fromkeys([*measured, *fitted]):
        if fitted.get(name) != measured.get(name):
            raise ExportError(
                f"the networks in {folder} were fitted with {name} {fitted.get(name)}, the report "
                f"in {REPORT} is of networks with {name} {measured.get(name)}; "
                f"run `{command}` again"
            )


def _check_prior(path: Path, expected: Statistics, found: Statistics) -> None:
    """Refuse networks that normalise differently: a bundle has one normalisation for all."""
    same = (
        np.array_equal(expected.mean, found.mean),
        np.array_equal(expected.std, found.std),
    )
    if not all(same):
        raise ExportError(
            f"{path} normalises with other statistics than the CNN, but a bundle has one for all; "
            f"run `{EVALUATE}` and `{FIT_GATE}` on the same recordings, with virtual voices"
        )
