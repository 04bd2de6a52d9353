"""Bundles for tests: copies of the default one, changed and damaged."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from affectd.daemon.emotion.bundle import DEFAULT

NETWORKS = ("encoder.tflite", "cnn.tflite", "lstm.tflite", "speech.tflite")


def copy(folder: Path) -> Path:
    """The default bundle in a folder where it may be changed."""
    folder.mkdir(exist_ok=True)
    for name in ("bundle.json", *NETWORKS):
        shutil.copy(DEFAULT / name, folder / name)
    return folder


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit bundle.json."""
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def put(folder: Path, name: str, network: bytes) -> None:
    """Replace a network by other bytes, with their right hash."""
    (folder / f"{name}.tflite").write_bytes(network)
    digest = hashlib.sha256(network).hexdigest()

    def edit(content: dict[str, Any]) -> None:
        places = content["networks"] | {"encoder": content["encoder"], "speech": content["gate"]}
        places[name].update(sha256=digest)

    change(folder, edit)


def gated(folder: Path, threshold: float, gate: bytes | None = None) -> Path:
    """A copy with another threshold of the gate, and perhaps another gate."""
    copy(folder)
    if gate is not None:
        put(folder, "speech", gate)
    change(folder, lambda content: content["gate"].update(threshold=threshold))
    return folder
