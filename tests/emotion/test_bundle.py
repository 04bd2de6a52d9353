import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectd.daemon.emotion import bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.errors import BundleError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the default bundle that may be damaged."""
    for name in ("bundle.json", "cnn.tflite", "lstm.tflite"):
        shutil.copy(bundle.DEFAULT / name, tmp_path / name)
    return tmp_path


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_the_default_bundle_is_small_enough_for_a_raspberry_pi() -> None:
    files = [path for path in bundle.DEFAULT.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_the_default_bundle_names_its_data_and_licence() -> None:
    (corpus,) = bundle.load(bundle.DEFAULT).corpora
    assert (corpus.name, corpus.licence, corpus.voices) == ("RAVDESS", "CC BY-NC-SA 4.0", 24)
    card = (bundle.DEFAULT / "MODEL_CARD.md").read_text()
    assert "CC BY-NC-SA 4.0" in card


def test_the_default_networks_agreed_with_keras_when_they_were_exported() -> None:
    networks = bundle.load(bundle.DEFAULT).networks
    assert {name: network.parity["float32"] < 1e-3 for name, network in networks.items()} == {
        "cnn": True,
        "lstm": True,
    }


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read .*set emotion\.bundle"):
        bundle.load(tmp_path)


def test_a_bundle_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match=r"bundle\.json is not a valid bundle"):
        bundle.load(folder)


def test_a_missing_key_is_refused_by_its_name(folder: Path) -> None:
    change(folder, lambda content: content.pop("mean"))
    with pytest.raises(BundleError, match="missing required field `mean`"):
        bundle.load(folder)


def test_a_bundle_of_another_format_is_refused(folder: Path) -> None:
    change(folder, lambda content: content.update(format=2))
    with pytest.raises(BundleError, match="has format 2, this version reads 1; export it again"):
        bundle.load(folder)


def test_a_bundle_with_other_labels_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["labels"].reverse())
    with pytest.raises(BundleError, match=r"has the labels \['surprised', .*export it again"):
        bundle.load(folder)


def test_a_bundle_for_other_features_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["features"].update(n_mfcc=13))
    with pytest.raises(BundleError, match=r"was made for .*n_mfcc=13.*this version computes"):
        bundle.load(folder)


def test_statistics_of_another_length_are_refused(folder: Path) -> None:
    change(folder, lambda content: content["mean"].pop())
    with pytest.raises(BundleError, match="39 means and 40 deviations for 40 coefficients"):
        bundle.load(folder)


def test_a_changed_network_is_refused(folder: Path) -> None:
    (folder / "cnn.tflite").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"cnn\.tflite has SHA-256 .*changed or damaged"):
        bundle.load(folder)


def test_a_missing_network_is_refused(folder: Path) -> None:
    (folder / "lstm.tflite").unlink()
    with pytest.raises(BundleError, match=r"lstm\.tflite cannot be read"):
        bundle.load(folder)


def test_a_file_that_is_no_network_is_refused(folder: Path) -> None:
    put(folder, b"not a network")
    with pytest.raises(BundleError, match=r"cnn\.tflite is not a network this runtime can run"):
        Classifier(folder)


def test_a_network_of_another_shape_is_refused(folder: Path, other_shape: bytes) -> None:
    put(folder, other_shape)
    with pytest.raises(BundleError, match=r"cnn\.tflite takes float32 of shape \(1, 2, 3\), exp"):
        Classifier(folder)


def put(folder: Path, network: bytes) -> None:
    """Replace the CNN by other bytes, with their right hash."""
    import hashlib

    (folder / "cnn.tflite").write_bytes(network)
    digest = hashlib.sha256(network).hexdigest()
    change(folder, lambda content: content["networks"]["cnn"].update(sha256=digest))


@pytest.fixture(scope="session")
def other_shape(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A working network that takes features of another shape."""
    import keras

    from affectd.export.convert import convert

    path = tmp_path_factory.mktemp("keras") / "other.keras"
    flat = [keras.Input((2, 3)), keras.layers.Flatten(), keras.layers.Dense(8)]
    keras.Sequential(flat).save(path)
    return convert(path, "float32")
