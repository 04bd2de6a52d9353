"""Fitted networks, calibration and figures become the bundle that the daemon runs."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Final

import joblib
import msgspec
from tqdm.auto import tqdm

from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle, Network
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.export.card import FIGURES, card
from affectd.export.convert import FORMATS, ExportError, convert
from affectd.export.parity import check_float32, difference, keras_probabilities

NETWORKS: Final = ("cnn", "lstm")
SYSTEMS: Final = ("cnn", "lstm", "cnn+lstm")


def export(workdir: Path, folder: Path, weights: str) -> Bundle:
    """Convert, check against Keras on real features, and write bundle and model card.

    workdir: where `affectd train evaluate` and `affectd train final` left their results.
    folder: made if missing; files of an older bundle are replaced once all checks have passed.
    weights: one of FORMATS. Raises ExportError if a result is missing or parity fails.
    """
    final = _result(workdir / "final" / "final.json", "affectd train final")
    report = _result(workdir / "evaluation" / "report.json", "affectd train evaluate")
    systems = report["systems"]
    if missing := [system for system in SYSTEMS if system not in systems]:
        raise ExportError(
            f"{workdir}/evaluation has no figures of {', '.join(missing)}; "
            "run `affectd train evaluate` with all networks"
        )
    features = joblib.load(workdir / "final" / "features.joblib")
    files: dict[str, bytes] = {}
    networks: dict[str, Network] = {}
    with tqdm(total=len(NETWORKS) * len(FORMATS), desc="export", unit="network") as bar:
        for name in NETWORKS:
            keras_file = workdir / "final" / f"{name}.keras"
            expected = keras_probabilities(keras_file, features)
            parity = {}
            for form in FORMATS:
                network = convert(keras_file, form)
                parity[form] = difference(network, features, expected)
                if form == weights:
                    files[f"{name}.tflite"] = network
                bar.update()
            check_float32(name, parity["float32"])
            digest = hashlib.sha256(files[f"{name}.tflite"]).hexdigest()
            networks[name] = Network(f"{name}.tflite", digest, parity)
    bundle = msgspec.convert(
        {
            "format": bundles.FORMAT,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": final["commit"],
            "labels": list(EMOTIONS),
            "features": final["features"],
            "mean": final["mean"],
            "std": final["std"],
            "networks": {name: msgspec.to_builtins(one) for name, one in networks.items()},
            "calibration": {system: systems[system]["calibration"] for system in SYSTEMS},
            "corpora": final["corpora"],
            "figures": {system: _figures(systems[system]) for system in SYSTEMS},
        },
        Bundle,
    )
    _write(folder, bundle, files, len(features))
    return bundle


def _write(folder: Path, bundle: Bundle, files: dict[str, bytes], rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in files.items():
        (folder / name).write_bytes(network)
    encoded = msgspec.json.format(msgspec.json.encode(bundle), indent=2)
    (folder / bundles.FILE).write_bytes(encoded + b"\n")
    (folder / "MODEL_CARD.md").write_text(card(bundle, rows))
    Classifier(folder)  # it is loaded as the daemon will load it


def _figures(system: dict[str, Any]) -> dict[str, float]:
    means = {name: system[name]["mean"] for name in FIGURES}
    return means | {f"{name}_std": system[name]["std"] for name in FIGURES}


def _result(path: Path, command: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise ExportError(
            f"{path} cannot be read ({error.strerror}); run `{command}` first"
        ) from error
    return result
