"""Fitted networks, calibration and figures become the bundle that the daemon runs."""

import hashlib
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from tqdm.auto import tqdm

from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle, Network
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.voice import VoiceSpec
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.export.card import card
from affectd.export.convert import FORMATS, ExportError, convert
from affectd.export.figures import SYSTEMS, figures, protocols
from affectd.export.fitted import FIT_GATE, SPEECH, Fitted, entry, load
from affectd.export.parity import check, difference, normalised_speech
from affectd.train.tables import GATE

CARD: Final = "MODEL_CARD.md"
ENCODER: Final = "encoder.tflite"


def export(workdir: Path, folder: Path, weights: str) -> Bundle:
    """Convert, check against Keras on real speech, and write bundle and model card.

    workdir: where `affectd train` left the results of evaluate and gate.
    folder: made if missing; files of an older bundle are replaced once all checks have passed.
    weights: one of FORMATS, for all networks but the encoder, which stays as it was fitted with.
    Raises ExportError if a result is missing or damaged, or if parity fails.
    """
    fitted = load(workdir)
    described = _described(fitted)
    frames = normalised_speech(fitted.encoder, fitted.prior)
    files = {ENCODER: fitted.encoder.path.read_bytes()}
    networks: dict[str, Network] = {}
    with tqdm(total=len(fitted.weights) * len(FORMATS), desc="export", unit="network") as bar:
        for name in fitted.weights:
            model = _model(fitted, name)
            expected = model.predict(frames, verbose=0)
            parity = {}
            for form in FORMATS:
                network = _converted(model, form)
                parity[form] = difference(network, frames, expected)
                if form == weights:
                    files[f"{name}.tflite"] = network
                if form in ("float32", weights):
                    check(name, form, parity[form])
                bar.update()
            digest = hashlib.sha256(files[f"{name}.tflite"]).hexdigest()
            networks[name] = Network(f"{name}.tflite", digest, parity)
    of_gate = networks.pop(SPEECH)
    gate = replace(described.gate, sha256=of_gate.sha256, parity=of_gate.parity)
    bundle = replace(described, networks=networks, gate=gate)
    _write(folder, bundle, files, fitted.report)
    return bundle


def _described(fitted: Fitted) -> Bundle:
    """The bundle without the networks that are yet to be converted."""
    report, (time_steps, width) = fitted.report, fitted.shape
    features = FeatureSpec()
    threshold = entry(report, GATE, "threshold", command=FIT_GATE)
    content = {
        "format": bundles.FORMAT,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": entry(report, "commit"),
        "labels": list(EMOTIONS),
        "features": asdict(features),
        "voice": asdict(VoiceSpec()),
        "mean": fitted.prior.mean.tolist(),
        "std": fitted.prior.std.tolist(),
        "encoder": {
            "file": ENCODER,
            "sha256": fitted.encoder.sha256,
            "parity": {entry(report, "encoder", "weights"): entry(report, "encoder", "parity")},
            "frames": time_steps,
            "width": width,
            "hop": features.n_frames // time_steps,
        },
        "networks": {},
        "gate": {"file": f"{SPEECH}.tflite", "sha256": "", "parity": {}, "threshold": threshold},
        "calibration": {name: entry(report, "systems", name, "calibration") for name in SYSTEMS},
        "corpora": entry(report, "training"),
        "figures": {name: figures(report, name) for name in SYSTEMS},
        "measured": {
            "commit": entry(report, "commit"),
            "seeds": len(entry(report, "config", "seeds")),
            "protocols": list(protocols(report)),
        },
    }
    try:
        return msgspec.convert(content, Bundle)
    except msgspec.ValidationError as error:
        raise ExportError(
            f"the report does not make a bundle ({error}); run `affectd train evaluate` again"
        ) from error


def _model(fitted: Fitted, name: str) -> Any:
    """The Keras network of some weights."""
    from affectd.train import gate
    from affectd.train.networks import NETWORKS, joined

    if name == SPEECH:
        model = gate.network(fitted.shape)
    else:
        model = joined(NETWORKS[name](fitted.shape, fitted.recipe))
    try:
        model.set_weights(fitted.weights[name])
    except ValueError as error:
        raise ExportError(
            f"the weights of {name} are those of another network ({error}); fit it again"
        ) from error
    return model


def _converted(model: Any, weights: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model.name}.keras"
        model.save(path)
        return convert(path, weights)


def _write(folder: Path, bundle: Bundle, files: dict[str, bytes], report: dict[str, Any]) -> None:
    """Write a bundle beside its place, load it as the daemon will, and put it into its place."""
    encoded = msgspec.json.format(msgspec.json.encode(bundle), indent=2)
    written = {
        **files,
        CARD: card(bundle, report).encode(),
        bundles.FILE: encoded + b"\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        trial = Path(name)
        for file, content in written.items():
            (trial / file).write_bytes(content)
        Classifier(trial)
        for file in written:
            (trial / file).replace(folder / file)
