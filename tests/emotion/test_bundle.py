from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd.daemon.emotion import bundle
from affectd.daemon.emotion.bundle import Encoder
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.errors import BundleError
from tests.bundles import change, copy, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the default bundle that may be damaged."""
    return copy(tmp_path)


ALL = ["encoder", "cnn", "lstm", "speech"]


def test_the_default_encoder_has_less_than_eight_megabytes() -> None:
    assert (bundle.DEFAULT / "encoder.tflite").stat().st_size < 8_000_000


@pytest.mark.parametrize("name", ["cnn", "lstm", "speech"])
def test_each_default_network_has_less_than_a_megabyte(name: str) -> None:
    assert (bundle.DEFAULT / f"{name}.tflite").stat().st_size < 1_000_000


def test_the_default_bundle_names_its_data_and_licences() -> None:
    licences = {corpus.name: corpus.licence for corpus in bundle.load(bundle.DEFAULT).corpora}
    assert licences["RAVDESS speech"] == licences["nEMO"] == "CC BY-NC-SA 4.0"
    assert licences["CREMA-D"].startswith("ODbL")
    card = (bundle.DEFAULT / "MODEL_CARD.md").read_text()
    assert all(f"| {name} | {licence} |" in card for name, licence in licences.items())


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


@pytest.mark.parametrize("key", ["mean", "encoder"])
def test_a_missing_key_is_refused_by_its_name(key: str, folder: Path) -> None:
    change(folder, lambda content: content.pop(key))
    with pytest.raises(BundleError, match=f"missing required field `{key}`"):
        bundle.load(folder)


def test_a_bundle_of_another_format_is_refused(folder: Path) -> None:
    change(folder, lambda content: content.update(format=4))
    with pytest.raises(BundleError, match="has format 4, this version reads 3; export it again"):
        bundle.load(folder)


def test_a_bundle_from_before_the_encoder_is_refused_by_its_format(folder: Path) -> None:
    change(folder, lambda content: (content.update(format=2), content.pop("encoder")))
    with pytest.raises(BundleError, match="has format 2, this version reads 3; export it again"):
        bundle.load(folder)


def test_a_bundle_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b'{"format": 3, "created": "\xff"}')
    with pytest.raises(BundleError, match=r"bundle\.json is not a valid bundle"):
        bundle.load(folder)


def test_a_bundle_with_other_labels_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["labels"].reverse())
    with pytest.raises(BundleError, match=r"has the labels \['surprised', .*export it again"):
        bundle.load(folder)


def test_a_bundle_for_other_features_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["features"].update(n_mfcc=13))
    with pytest.raises(BundleError, match=r"was made for .*n_mfcc=13.*this version computes"):
        bundle.load(folder)


def test_a_bundle_for_other_voices_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["voice"].update(mean_frames=13))
    with pytest.raises(BundleError, match=r"was made for .*mean_frames=13.*this version adapts"):
        bundle.load(folder)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_gate_that_could_never_open_or_close_is_refused(threshold: float, folder: Path) -> None:
    change(folder, lambda content: content["gate"].update(threshold=threshold))
    with pytest.raises(BundleError, match=r"is not a valid bundle \(Expected `float`"):
        bundle.load(folder)


def test_statistics_of_another_length_are_refused(folder: Path) -> None:
    width = bundle.load(folder).encoder.width
    change(folder, lambda content: content["mean"].pop())
    why = f"{width - 1} means and {width} deviations for encoder frames of {width} values"
    with pytest.raises(BundleError, match=why):
        bundle.load(folder)


def test_an_encoder_whose_frames_are_not_those_of_an_utterance_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["encoder"].update(frames=75, hop=3))
    why = "makes 75 frames of 3 MFCC frames each, but an utterance has 300 MFCC frames; export"
    with pytest.raises(BundleError, match=why):
        bundle.load(folder)


def test_a_last_encoder_frame_may_be_made_of_fewer_mfcc_frames() -> None:
    encoder = Encoder("encoder.tflite", "", {}, frames=75, width=384, hop=4)
    assert [encoder.count(frames) for frames in (0, 1, 4, 5, 298, 300)] == [0, 1, 1, 2, 75, 75]


def test_an_encoder_frame_lasts_as_long_as_the_mfcc_frames_it_is_made_of(folder: Path) -> None:
    change(folder, lambda content: content["encoder"].update(frames=75, hop=4))
    assert bundle.load(folder).frame_s == 0.04


def test_a_calibration_of_a_network_that_is_not_there_is_refused(folder: Path) -> None:
    change(folder, lambda content: content["networks"].pop("lstm"))
    with pytest.raises(BundleError, match="has a calibration for lstm, but no network lstm"):
        bundle.load(folder)


@pytest.mark.parametrize("name", ALL)
def test_a_changed_network_is_refused(name: str, folder: Path) -> None:
    (folder / f"{name}.tflite").write_bytes(b"changed")
    with pytest.raises(BundleError, match=rf"{name}\.tflite has SHA-256 .*changed or damaged"):
        bundle.load(folder)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_network_is_refused(name: str, folder: Path) -> None:
    (folder / f"{name}.tflite").unlink()
    with pytest.raises(BundleError, match=rf"{name}\.tflite cannot be read"):
        bundle.load(folder)


def test_a_file_that_is_no_network_is_refused(folder: Path) -> None:
    put(folder, "cnn", b"not a network")
    with pytest.raises(BundleError, match=r"cnn\.tflite is not a network this runtime can run"):
        Classifier(folder)


@pytest.mark.parametrize("name", ALL)
def test_a_network_of_another_shape_is_refused(name: str, folder: Path, other_shape: bytes) -> None:
    put(folder, name, other_shape)
    with pytest.raises(BundleError, match=rf"{name}\.tflite takes float32 of shape \(1, 2, 3\), e"):
        Classifier(folder)


def test_an_encoder_that_gives_other_frames_than_the_bundle_says_is_refused(folder: Path) -> None:
    width = bundle.load(folder).encoder.width

    def widen(content: dict[str, Any]) -> None:
        content["encoder"]["width"] = width + 1
        content["mean"].append(0.0)
        content["std"].append(1.0)

    change(folder, widen)
    why = rf"encoder\.tflite gives float32 of shape \(1, \d+, {width}\), expected .* {width + 1}\)"
    with pytest.raises(BundleError, match=why):
        Classifier(folder)


def test_a_gate_that_gives_emotions_is_refused(folder: Path) -> None:
    put(folder, "speech", (folder / "cnn.tflite").read_bytes())
    with pytest.raises(BundleError, match=r"speech\.tflite gives float32 of shape \(1, 8\), exp"):
        Classifier(folder)


def test_normalised_speech_has_mean_0_and_deviation_1_and_padding_is_0() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(5, 2, (75, 384)).astype(np.float32)
    spoken = frames[:50]
    normal = bundle.normalise(frames, spoken.mean(axis=0), spoken.std(axis=0), 50)
    np.testing.assert_allclose(normal[:50].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normal[:50].std(axis=0), 1, atol=1e-5)
    assert not normal[50:].any()


@pytest.fixture(scope="session")
def other_shape(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A working network that takes features of another shape."""
    import keras

    from affectd.export.convert import convert

    path = tmp_path_factory.mktemp("keras") / "other.keras"
    flat = [keras.Input((2, 3)), keras.layers.Flatten(), keras.layers.Dense(8)]
    keras.Sequential(flat).save(path)
    return convert(path, "float32")
