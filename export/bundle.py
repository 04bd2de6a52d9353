"""Fitted networks, calibration and figures become the bundle that the daemon runs."""

import hashlib
import json
import tempfile
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
from affectd.export.parity import check, difference, keras_probabilities

NETWORKS: Final = ("cnn", "lstm")
CARD: Final = "MODEL_CARD.md"
SYSTEMS: Final = ("cnn", "lstm", "cnn+lstm")


def export(workdir: Path, folder: Path, weights: str) -> Bundle:
    """Convert, check against Keras on real features, and write bundle and model card.

    workdir: where `affectd train evaluate` and `affectd train final` left their results.
    folder: made if missing; files of an older bundle are replaced once all checks have passed.
    weights: one of FORMATS. Raises ExportError if a result is missing or parity fails.
    """
    final = _result(workdir / "final" / "final.json", "affectd train final")
    report = _result(workdir / "evaluation" / "report.json", "affectd train evaluate")
    _check_belong_together(final, report, workdir)
    systems = report["systems"]
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
            check(name, parity, weights)
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
            "measured": {
                "commit": report["commit"],
                "folds": len(report["config"]["folds"]),
                "seeds": len(report["config"]["seeds"]),
                "epochs": report["config"]["epochs"],
            },
        },
        Bundle,
    )
    _write(folder, bundle, files, len(features))
    return bundle


def _check_belong_together(final: dict[str, Any], report: dict[str, Any], workdir: Path) -> None:
    """Figures and calibration must be those of networks that were fitted alike."""
    if missing := [system for system in SYSTEMS if system not in report["systems"]]:
        raise ExportError(
            f"{workdir}/evaluation has no figures of {', '.join(missing)}; "
            "run `affectd train evaluate` with all networks"
        )
    ours = (final["epochs"], final["features"], sum(c["clips"] for c in final["corpora"]))
    theirs = (report["config"]["epochs"], report["features"], report["clips"])
    if ours != theirs:
        raise ExportError(
            f"{workdir}/final was fitted with (epochs, features, clips) {ours}, "
            f"{workdir}/evaluation was measured with {theirs}; run one of them again"
        )


def _write(folder: Path, bundle: Bundle, files: dict[str, bytes], rows: int) -> None:
    """Write a bundle beside its place, load it as the daemon will, and put it into its place."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(bundle), indent=2)
    written = {**files, bundles.FILE: encoded + b"\n", CARD: card(bundle, rows).encode()}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        trial = Path(name)
        for file, content in written.items():
            (trial / file).write_bytes(content)
        Classifier(trial)
        for file in written:
            (trial / file).replace(folder / file)


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
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is damaged ({error}); run `{command}` again") from error
    return result
