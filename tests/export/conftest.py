"""A working folder of `affectd train` with small networks that have learnt nothing."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd.daemon.emotion.bundle import DEFAULT, load
from affectd.train import gate
from affectd.train.conditions import Trials
from affectd.train.examples import Statistics
from affectd.train.fits import Answers, Run, Weights
from affectd.train.gates import GateRun
from affectd.train.networks import NETWORKS, joined
from affectd.train.recipe import Recipe
from affectd.train.runs import RunConfig
from affectd.train.stored import keep

RECIPE = Recipe(members=1, width=8, units=4, attention=4)
RUNS = asdict(RECIPE) | {"data": "4567", "code": "89ab"}
GATES = {"gate_steps": 7, "data": "cdef", "code": "89ab"}
SEED = 0


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("train")
    bundle = load(DEFAULT)
    shape = bundle.encoder.frames, bundle.encoder.width
    prior = Statistics(np.array(bundle.mean, np.float32), np.array(bundle.std, np.float32))
    encoder = workdir / "encoder-0123.tflite"
    shutil.copy(DEFAULT / bundle.encoder.file, encoder)
    for name in ("cnn", "lstm"):
        weights = joined(NETWORKS[name](shape, RECIPE)).get_weights()
        nothing = Answers(np.empty(0, np.int64), {})
        run = Run(name, "all", SEED, nothing, fitted=Weights(weights, RECIPE, prior))
        keep(run, workdir / "runs" / f"{name}-all-seed-{SEED}.joblib", compress=3)
    keep(
        GateRun("all", SEED, fitted=gate.network(shape).get_weights(), prior=prior),
        workdir / "gates" / f"gate-all-seed-{SEED}.joblib",
        compress=3,
    )
    (workdir / "evaluation").mkdir()
    digest = hashlib.sha256(encoder.read_bytes()).hexdigest()
    write(workdir / "evaluation" / "report.json", report(encoder.name, digest))
    write(workdir / "evaluation" / "gate.json", {"data": "0123", "result": GATE})
    write(workdir / "runs" / "config.json", RUNS)
    write(workdir / "gates" / "config.json", GATES)
    return workdir


@pytest.fixture
def workdir(made_once: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(made_once, tmp_path / "train"))


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


def report(encoder: str, sha256: str) -> dict[str, Any]:
    return {
        "commit": "abc",
        "fitted_s": 1,
        "config": asdict(RunConfig(recipe=RECIPE, seeds=(SEED, 1))),
        "runs": RUNS,
        "encoder": {
            "file": encoder,
            "sha256": sha256,
            "blocks": [2],
            "weights": "dynamic",
            "parity": 0.25,
        },
        "data": "0123",
        "tested": "ravdess",
        "kept_out": {"speakers": ["1001", "1002"], "sentences": ["DFA", "TSI"]},
        "silence": {},
        "systems": dict.fromkeys(("cnn", "lstm", "cnn+lstm"), FIGURES),
        "training": [
            {
                "name": name,
                "licence": licence,
                "citation": f"Somebody ({year})",
                "clips": 1440,
                "voices": 24,
            }
            for name, licence, year in (
                ("RAVDESS speech", "CC BY-NC-SA 4.0", 2018),
                ("CREMA-D", "ODbL 1.0, contents DbCL 1.0", 2014),
            )
        ],
    }


UAR = {
    key: {"mean": mean, "std": 0.01}
    for key, mean in (
        ("heard_0", 0.7),
        ("heard_5", 0.75),
        ("heard_20", 0.8),
        ("heard_20_neutral", 0.78),
    )
}
HONESTY = {
    "ece": 0.05,
    "accuracy": 0.5,
    "coverage": 0.9,
    "set_size": 3.0,
    "unknown": 0.1,
    "accuracy_if_known": 0.55,
}


def of_corpora(*names: str) -> dict[str, Any]:
    corpora = {name: {"uar": UAR, "chance": 0.2, "clips": 100} for name in names}
    return {"mean": UAR, "corpora": corpora}


FIGURES = {
    "uar": UAR,
    "left_out": of_corpora("ravdess", "nemo"),
    "test_only": of_corpora("ased", "own"),
    "doubt": {
        "folds": HONESTY | {"ece": 0.03},
        "left_out": HONESTY | {"corpora": {}},
        "test_only": HONESTY | {"ece": 0.07, "corpora": {}},
    },
    "calibration": {"temperature": 1.1, "threshold": 0.3, "conformal": 0.05, "coverage": 0.9},
}
GATE = {
    "runs": GATES,
    "seeds": 3,
    "threshold": 0.9,
    "speech_kept": 0.99,
    "kept_in_trials": dict.fromkeys(Trials.NAMES, 0.95),
    "household": "household",
    "sounds": {"household": {"passed_per_hour": 0.4}},
}
