from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.cli import main
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.decision import combine
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.export.convert import FORMATS, ExportError, convert
from affectd.export.formats import choose
from affectd.export.parity import check, difference, keras_probabilities
from affectd.train.networks import NETWORKS, joined
from affectd.train.recipe import Recipe

SPEC = FeatureSpec()


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    return random.normal(size=(5, SPEC.n_frames, SPEC.n_mfcc)).astype(np.float32)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_an_exported_network_says_what_keras_says(
    name: str, features: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.keras"
    joined(NETWORKS[name](SPEC, Recipe())).save(path)
    expected = keras_probabilities(path, features)
    limits = {"float32": 1e-5, "float16": 1e-2, "dynamic": 5e-2}
    sizes = {}
    for weights, limit in limits.items():
        network = convert(path, weights)
        sizes[weights] = len(network)
        assert difference(network, features, expected) < limit
    assert sizes["dynamic"] < sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize("measured", [1e-3, 0.5, float("nan")])
def test_a_network_that_strays_from_keras_is_refused(measured: float) -> None:
    with pytest.raises(ExportError, match=r"cnn with float32 weights differs .*not written"):
        check("cnn", {"float32": measured, "dynamic": 0.0}, "dynamic")


def test_a_smaller_format_that_strays_far_is_refused() -> None:
    with pytest.raises(ExportError, match=r"cnn with dynamic weights differs from Keras by 0\.2"):
        check("cnn", {"float32": 0.0, "dynamic": 0.2}, "dynamic")


def test_a_file_the_converter_cannot_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_text("nothing")
    with pytest.raises(ExportError, match=r"a\.keras cannot be converted with float32 weights"):
        convert(tmp_path / "a.keras", "float32")


def test_export_without_fitted_networks_says_what_to_run_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--workdir", str(tmp_path), "--to", str(tmp_path / "out")]) == 1
    assert "final.json cannot be read (No such file or directory); run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(900)
def test_from_labelled_recordings_to_a_bundle_the_daemon_runs(
    few_actors: Path, few_noises: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"--ravdess {few_actors} --noise {few_noises} --workdir {tmp_path}"
    recipe = f"{where} --set epochs=1"
    few = "--folds 1 --seeds 1 --networks cnn lstm"
    assert main(f"train evaluate {recipe} {few}".split()) == 0
    assert main(f"train gate {where} --folds 1 2 --seeds 1 --gate-epochs 1".split()) == 0
    assert main(f"train final {recipe} --gate-epochs 1".split()) == 0
    _refuse_figures_of_other_networks(tmp_path, capsys)
    assert main(f"train formats {recipe}".split()) == 0
    chosen = capsys.readouterr().out.splitlines()[-1].removeprefix("chosen: ")
    out = tmp_path / "bundle"
    assert main(f"export --workdir {tmp_path} --to {out}".split()) == 0
    assert "speech: largest difference to Keras in probability: float32" in capsys.readouterr().out
    bundle = bundles.load(out)
    assert bundle.corpora[0].voices == 5
    assert set(bundle.networks["lstm"].parity) == {"float32", "float16", "dynamic"}
    assert 0 < bundle.gate.threshold < 1
    assert "| cnn+lstm | " in (out / "MODEL_CARD.md").read_text()
    assert chosen in {"float32", "float16", "dynamic"}
    _agree_with_keras(out, tmp_path / "final")


def _refuse_figures_of_other_networks(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = workdir / "evaluation" / "report.json"
    right = report.read_text()
    report.write_text(right.replace('"epochs": 1', '"epochs": 2'))
    assert main(f"export --workdir {workdir} --to {workdir}/wrong".split()) == 1
    assert "with other recipe than" in capsys.readouterr().err
    report.write_text(right)


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ((0.0, 0.004, 0.02), "float16"),
        ((0.0, 0.0, 0.004), "dynamic"),
        ((0.0, 0.01, 0.01), "float32"),
    ],
)
def test_the_smallest_format_that_costs_less_than_half_a_point_is_chosen(
    losses: tuple[float, ...], chosen: str
) -> None:
    table = {
        form: {"cnn+lstm": 0.65 - loss, "cnn_bytes": size, "lstm_bytes": size}
        for form, loss, size in zip(FORMATS, losses, (4.0, 2.0, 1.0), strict=True)
    }
    assert choose(table) == chosen


def test_the_card_of_the_default_bundle_is_what_export_writes() -> None:
    from affectd.export.card import card
    from affectd.train.final import PARITY_ROWS

    written = (bundles.DEFAULT / "MODEL_CARD.md").read_text()
    assert written == card(bundles.load(bundles.DEFAULT), PARITY_ROWS)


def _agree_with_keras(bundle: Path, final: Path) -> None:
    """The daemon's own path, from features that are not normalised, gives Keras' probabilities."""
    import joblib

    classifier = Classifier(bundle)
    normal = joblib.load(final / "features.joblib")[:5]
    mean, std = np.array(classifier.bundle.mean), np.array(classifier.bundle.std)
    frames = [int(np.abs(one).max(axis=1).nonzero()[0][-1]) + 1 for one in normal]
    raw = [(one * std + mean).astype(np.float32) for one in normal]
    expected = combine([keras_probabilities(final / f"{n}.keras", normal) for n in ("cnn", "lstm")])
    actual = [
        classifier.probabilities(one, count, (mean, std))
        for one, count in zip(raw, frames, strict=True)
    ]
    np.testing.assert_allclose(np.stack(actual), expected, atol=3e-2)
