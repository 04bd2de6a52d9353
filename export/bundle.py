"""Fitted networks, calibration and figures become the bundle that the daemon runs."""

import hashlib
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
from tqdm.auto import tqdm

from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.voice import VoiceSpec
from affectd.export.card import HEARD, card
from affectd.export.convert import FORMATS, ExportError, convert
from affectd.export.formats import choose
from affectd.export.parity import check, difference, keras_probabilities
from affectd.train import report as report_files
from affectd.train import tables
from affectd.train.stored import load

GATE: Final = "speech"
FILES: Final = ("cnn", "lstm", GATE)
CARD: Final = "MODEL_CARD.md"
SYSTEMS: Final = ("cnn", "lstm", "cnn+lstm")


def export(workdir: Path, folder: Path, weights: str | None) -> Bundle:
    """Convert, check against Keras on real features, and write bundle and model card.

    workdir: where `affectd train` left the results of evaluate, formats and final.
    folder: made if missing; files of an older bundle are replaced once all checks have passed.
    weights: one of FORMATS; None chooses by what they were measured to cost.
    Raises ExportError if a result is missing or parity fails.
    """
    final = _result(workdir / "final" / "final.json", "affectd train final")
    report = report_files.load(workdir / "evaluation")
    _check_belong_together(final, report, workdir)
    if weights is None:
        weights = choose(_formats(report, workdir))
    systems = report["systems"]
    features = load(workdir / "final" / "features.joblib")
    files: dict[str, bytes] = {}
    networks: dict[str, dict[str, Any]] = {}
    with tqdm(total=len(FILES) * len(FORMATS), desc="export", unit="network") as bar:
        for name in FILES:
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
            networks[name] = {"file": f"{name}.tflite", "sha256": digest, "parity": parity}
    let_through = report[tables.GATE]
    gate = networks.pop(GATE) | {"threshold": let_through["threshold"]}
    bundle = msgspec.convert(
        {
            "format": bundles.FORMAT,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": final["commit"],
            "labels": list(EMOTIONS),
            "features": final["features"],
            "voice": asdict(VoiceSpec()),
            "mean": final["mean"],
            "std": final["std"],
            "networks": networks,
            "gate": gate,
            "calibration": {system: systems[system]["calibration"] for system in SYSTEMS},
            "corpora": final["corpora"],
            "figures": {system: _figures(systems[system], let_through) for system in SYSTEMS},
            "measured": {
                "commit": report["commit"],
                "folds": len(report["config"]["folds"]),
                "seeds": len(report["config"]["seeds"]),
                "epochs": report["config"]["recipe"]["epochs"],
            },
        },
        Bundle,
    )
    _write(folder, bundle, files, len(features))
    return bundle


def _formats(report: dict[str, Any], workdir: Path) -> dict[str, Any]:
    if tables.FORMATS not in report:
        raise ExportError(
            f"{workdir}/evaluation does not say what formats cost; run `affectd train formats` "
            "first, or name one with --weights"
        )
    found: dict[str, Any] = report[tables.FORMATS]
    return found


def _check_belong_together(final: dict[str, Any], report: dict[str, Any], workdir: Path) -> None:
    """Figures and calibration must be those of networks that were fitted alike."""
    if missing := [system for system in SYSTEMS if system not in report["systems"]]:
        raise ExportError(
            f"{workdir}/evaluation has no figures of {', '.join(missing)}; "
            "run `affectd train evaluate` with all networks"
        )
    if tables.GATE not in report:
        raise ExportError(
            f"{workdir}/evaluation has no speech gate; run `affectd train gate` first"
        )
    gate = {name: report[tables.GATE][name] for name in ("epochs", "noise")}
    ours = (final["recipe"], final["features"], final["data"], final.get("gate"))
    theirs = (report["config"]["recipe"], report["features"], report["data"], gate)
    whats = ("recipe", "features", "data", "gate")
    for what, one, other in zip(whats, ours, theirs, strict=True):
        if one != other:
            raise ExportError(
                f"{workdir}/final was fitted with other {what} than {workdir}/evaluation was "
                f"measured with ({one} and {other}); run one of them again"
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


def _figures(system: dict[str, Any], gate: dict[str, Any]) -> dict[str, float]:
    uar = {key: system["uar"][key] for key in HEARD}
    figures = {f"uar_{key}": one["mean"] for key, one in uar.items()}
    figures |= {f"uar_{key}_std": one["std"] for key, one in uar.items()}
    figures |= {"ece": system["ece"], "unknown": system["unknown"]["share"]}
    figures |= {f"coverage_{key}": system["coverage"][key] for key in ("mean", "min_actor")}
    figures["set_size"] = system["coverage"]["set_size"]
    figures["speech_kept"] = gate["speech_kept"]
    return figures


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
