import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from affectd.daemon.cli import main
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle, Measured
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.decision import combine
from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.errors import AffectdError
from affectd.export.bundle import export
from affectd.export.card import card
from affectd.export.convert import ExportError, convert
from affectd.export.figures import figures, protocols
from affectd.export.parity import check, difference
from affectd.train import gate
from affectd.train import report as reports
from affectd.train.examples import Statistics
from affectd.train.fits import Run
from affectd.train.networks import NETWORKS, joined
from affectd.train.recipe import Recipe
from tests.export.conftest import RECIPE, write

SHAPE = (75, 384)
PROTOCOLS = ("uar", "left_out", "test_only")
FILES = ("bundle.json", "encoder.tflite", "cnn.tflite", "lstm.tflite", "speech.tflite")


@pytest.fixture(scope="session")
def exported(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    with redirect_stdout(StringIO()) as said:
        assert main(["export", "--workdir", str(made_once), "--to", str(folder)]) == 0
    (folder / "said").write_text(said.getvalue())
    return folder


@pytest.fixture
def bundle(exported: Path) -> Bundle:
    return bundles.load(exported)


def frames(n: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(n, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_an_exported_network_says_what_keras_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.keras"
    model = joined(NETWORKS[name](SHAPE, Recipe()))
    model.save(path)
    expected = model.predict(frames(), verbose=0)
    limits = {"float32": 1e-5, "float16": 1e-2, "dynamic": 5e-2}
    sizes = {}
    for weights, limit in limits.items():
        network = convert(path, weights)
        sizes[weights] = len(network)
        assert difference(network, frames(), expected) < limit
    assert sizes["dynamic"] < sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize("measured", [1e-3, 0.5, float("nan")])
def test_a_network_that_strays_from_keras_is_refused(measured: float) -> None:
    with pytest.raises(ExportError, match=r"cnn with float32 weights differs .*not written"):
        check("cnn", "float32", measured)


def test_a_smaller_format_that_strays_far_is_refused() -> None:
    with pytest.raises(ExportError, match=r"cnn with dynamic weights differs from Keras by 0\.2"):
        check("cnn", "dynamic", 0.2)


def test_a_file_the_converter_cannot_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_text("nothing")
    with pytest.raises(ExportError, match=r"a\.keras cannot be converted with float32 weights"):
        convert(tmp_path / "a.keras", "float32")


def test_the_bundle_reads_as_the_fitted_networks_do(exported: Path, made_once: Path) -> None:
    classifier = Classifier(exported)
    prior = np.array(classifier.bundle.mean), np.array(classifier.bundle.std)
    normal = frames()
    expected = combine([_keras(made_once, name).predict(normal) for name in ("cnn", "lstm")])
    speech = _keras(made_once, "gate").predict(normal)
    for one, of_one, is_speech in zip(normal, expected, speech, strict=True):
        encoding = Encoding((one * prior[1] + prior[0]).astype(np.float32), SHAPE[0])
        np.testing.assert_allclose(classifier.probabilities(encoding, prior), of_one, atol=3e-3)
        assert classifier.speech_probability(encoding) == pytest.approx(is_speech[0], abs=3e-3)


def _keras(workdir: Path, name: str) -> Any:
    if name == "gate":
        model = gate.network(SHAPE)
        model.set_weights(joblib.load(workdir / "gates" / "gate-all-seed-0.joblib").fitted)
        return model
    model = joined(NETWORKS[name](SHAPE, RECIPE))
    model.set_weights(joblib.load(workdir / "runs" / f"{name}-all-seed-0.joblib").fitted.arrays)
    return model


def test_the_bundle_has_the_encoder_that_the_networks_were_fitted_with(
    bundle: Bundle, exported: Path, made_once: Path
) -> None:
    encoder = bundle.encoder
    assert (encoder.frames, encoder.width, encoder.hop) == (75, 384, 4)
    assert encoder.parity == {"dynamic": 0.25}
    written = (exported / encoder.file).read_bytes()
    assert written == (made_once / "encoder-0123.tflite").read_bytes()


def test_every_network_is_compared_in_every_format(bundle: Bundle) -> None:
    for network in (*bundle.networks.values(), bundle.gate):
        assert set(network.parity) == {"float32", "float16", "dynamic"}


def test_the_bundle_carries_the_figures_of_the_report(bundle: Bundle) -> None:
    heard = {"heard_0": 0.7, "heard_20": 0.8, "heard_20_neutral": 0.78}
    doubt = {
        "ece_folds": 0.03,
        "ece_left_out": 0.05,
        "ece_test_only": 0.07,
        "coverage_left_out": 0.9,
        "coverage_test_only": 0.9,
        "unknown_left_out": 0.1,
        "accuracy_if_known_left_out": 0.55,
    }
    uar = {f"{name}_{key}": of for name in PROTOCOLS for key, of in heard.items()}
    spread = {f"uar_{key}_std": 0.01 for key in heard}
    assert bundle.figures["cnn+lstm"] == uar | spread | doubt | {"speech_kept": 0.99}
    assert bundle.gate.threshold == 0.9
    assert bundle.calibration["lstm"].temperature == 1.1
    assert (bundle.commit, bundle.measured.seeds) == ("abc", 2)
    folds, left_out, test_only = bundle.measured.protocols
    assert folds.startswith("Folds: speakers of RAVDESS speech,")
    assert "RAVDESS speech, nEMO" in left_out
    assert "ASED, own" in test_only


def test_figures_that_the_report_lacks_are_left_out(made_once: Path, bundle: Bundle) -> None:
    report = reports.load(made_once / "evaluation")
    for system in report["systems"].values():
        for name in ("left_out", "test_only", "doubt"):
            system.pop(name, None)
    found = figures(report, "cnn")
    assert set(found) == {
        *(f"uar_{key}" for key in ("heard_0", "heard_20", "heard_20_neutral")),
        *(f"uar_{key}_std" for key in ("heard_0", "heard_20", "heard_20_neutral")),
        "speech_kept",
    }
    assert len(list(protocols(report))) == 1
    measured = replaced(bundle, measured=Measured("abc", 2, list(protocols(report))))
    assert "eft-out" not in card(measured, report)


def test_the_card_says_what_was_measured(exported: Path) -> None:
    card = (exported / "MODEL_CARD.md").read_text()
    for line in (
        "| RAVDESS speech | CC BY-NC-SA 4.0 | 1440 | 24 |",
        "| cnn+lstm | 70.0 ± 1.0 | 80.0 ± 1.0 | 78.0 ± 1.0 |",
        "| nEMO | Polish | 100 | 20.0 | 70.0 | 80.0 | 78.0 |",
        "| ASED | Amharic | 100 | 20.0 | 70.0 | 80.0 | 78.0 |",
        "| own | not stated | 100 | 20.0 | 70.0 | 80.0 | 78.0 |",
        "| cnn+lstm | 1.10 | 0.30 | 0.050 | 90 % |",
        "| left-out corpora | 0.050 | 90 % | 3.0 | 10 % | 55 % |",
        "| household noise, 0 dB | 95.0 % |",
    ):
        assert line in card.splitlines()


def words_of(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def test_the_card_says_whose_recordings_are_kept_out_for_the_demo(exported: Path) -> None:
    card = words_of((exported / "MODEL_CARD.md").read_text())
    assert "Its speakers 1001, 1002 and its sentences DFA and TSI" in card


def test_the_card_says_of_how_many_seeds_its_figures_are(
    exported: Path, made_once: Path, bundle: Bundle
) -> None:
    assert "fitted with 2 seeds (commit `abc`)" in words_of(
        (exported / "MODEL_CARD.md").read_text()
    )
    report = reports.load(made_once / "evaluation")
    one = card(replaced(bundle, measured=replaced(bundle.measured, seeds=1)), report)
    assert "fitted with 1 seed (commit `abc`)" in words_of(one)
    assert "Gates fitted with 3 seeds" in words_of(one)


def test_the_card_says_that_the_folds_calibrate_where_no_corpus_is_left_out(
    made_once: Path, bundle: Bundle
) -> None:
    report = reports.load(made_once / "evaluation")
    for system in report["systems"].values():
        system.pop("left_out", None)
    assert "thresholds come from the folds," in words_of(card(bundle, report))


def test_weights_of_recordings_to_share_alike_are_shared_alike(exported: Path) -> None:
    assert "under **CC BY-NC-SA 4.0**" in words_of((exported / "MODEL_CARD.md").read_text())


def test_weights_of_other_recordings_are_not_given_a_licence(
    made_once: Path, bundle: Bundle
) -> None:
    other = replaced(bundle.corpora[0], licence="for research")
    report = reports.load(made_once / "evaluation")
    assert "Keep to all" in card(replaced(bundle, corpora=[other]), report)


def test_the_card_of_the_default_bundle_is_what_export_writes() -> None:
    written = (bundles.DEFAULT / "MODEL_CARD.md").read_text()
    assert written == card(bundles.load(bundles.DEFAULT), reports.load(reports.COMMITTED))


def change(workdir: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit report.json."""
    path = workdir / "evaluation" / "report.json"
    report = json.loads(path.read_text())
    edit(report)
    write(path, report)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("evaluation/report.json", r"report\.json cannot be read .*run `affectd train evaluate`"),
        ("evaluation/gate.json", r"does not have the entry gate, .*run `affectd train gate`"),
        ("runs/config.json", r"runs/config\.json does not exist; run `affectd train evaluate`"),
        ("runs/cnn-all-seed-0.joblib", r"cnn-all-seed-0\.joblib does not exist; run `affectd"),
        ("runs/lstm-all-seed-0.joblib", r"lstm-all-seed-0\.joblib does not exist"),
        ("gates/gate-all-seed-0.joblib", r"does not exist; run `affectd train gate` first"),
        ("encoder-0123.tflite", r"encoder-0123\.tflite cannot be read .*run `affectd train"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    file: str, sentence: str, workdir: Path, tmp_path: Path
) -> None:
    (workdir / file).unlink()
    with pytest.raises(AffectdError, match=sentence):
        export(workdir, tmp_path / "out", "float16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("evaluation/report.json", r"report\.json is damaged"),
        ("evaluation/gate.json", r"gate\.json is damaged"),
        ("runs/config.json", r"config\.json is damaged"),
        ("runs/cnn-all-seed-0.joblib", r"cnn-all-seed-0\.joblib is damaged"),
        ("gates/gate-all-seed-0.joblib", r"gate-all-seed-0\.joblib is damaged"),
        ("encoder-0123.tflite", r"has SHA-256 .*the report says .*; remove it"),
    ],
)
def test_what_is_damaged_is_named_and_nothing_is_written(
    file: str, sentence: str, workdir: Path, tmp_path: Path
) -> None:
    (workdir / file).write_bytes((workdir / file).read_bytes()[:-20])
    with pytest.raises(AffectdError, match=sentence):
        export(workdir, tmp_path / "out", "float16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda report: report["runs"].update(steps=7), r"with steps \d+, .* steps 7; run"),
        (lambda report: report.pop("runs"), r"have the entry runs; run `affectd train evaluate`"),
        (lambda report: report["systems"].pop("lstm"), r"have the entry systems, lstm"),
        (lambda report: report.pop("training"), r"have the entry training"),
        (
            lambda report: report["systems"]["cnn"]["calibration"].update(threshold=2),
            r"does not make a bundle \(.*threshold",
        ),
    ],
)
def test_a_report_that_does_not_belong_to_the_networks_is_refused(
    edit: Callable[[dict[str, Any]], object], sentence: str, workdir: Path, tmp_path: Path
) -> None:
    change(workdir, edit)
    with pytest.raises(ExportError, match=sentence):
        export(workdir, tmp_path / "out", "float16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("folder", "command"), [("runs", "affectd train evaluate"), ("gates", "affectd train gate")]
)
@pytest.mark.parametrize("name", ["data", "code"])
def test_networks_of_other_data_or_code_than_the_report_are_refused(
    folder: str, command: str, name: str, workdir: Path, tmp_path: Path
) -> None:
    path = workdir / folder / "config.json"
    config = json.loads(path.read_text())
    write(path, config | {name: "other"})
    sentence = rf"{folder} .* with {name} other, .* with {name} {config[name]}; run `{command}`"
    with pytest.raises(ExportError, match=sentence):
        export(workdir, tmp_path / "out", "float16")
    assert not (tmp_path / "out").exists()


def edit_run(path: Path, edit: Callable[[Any], Any]) -> None:
    joblib.dump(edit(joblib.load(path)), path)


OTHER = Statistics(np.zeros(384, np.float32), np.ones(384, np.float32))


def test_networks_that_normalise_otherwise_are_refused(workdir: Path, tmp_path: Path) -> None:
    path = workdir / "runs" / "lstm-all-seed-0.joblib"
    edit_run(path, lambda run: replace(run, fitted=replace(run.fitted, prior=OTHER)))
    with pytest.raises(ExportError, match=r"lstm-all.* normalises with other statistics"):
        export(workdir, tmp_path / "out", "float16")


def test_a_gate_that_normalises_otherwise_is_refused(workdir: Path, tmp_path: Path) -> None:
    path = workdir / "gates" / "gate-all-seed-0.joblib"
    edit_run(path, lambda run: replace(run, prior=OTHER))
    with pytest.raises(ExportError, match=r"gate-all.* normalises with other statistics"):
        export(workdir, tmp_path / "out", "float16")


def test_a_run_without_weights_is_refused(workdir: Path, tmp_path: Path) -> None:
    path = workdir / "runs" / "cnn-all-seed-0.joblib"
    edit_run(path, lambda run: replace(run, fitted=None))
    with pytest.raises(ExportError, match=r"cnn-all-seed-0\.joblib holds no weights; remove it"):
        export(workdir, tmp_path / "out", "float16")


def test_weights_of_another_design_are_refused(workdir: Path, tmp_path: Path) -> None:
    path = workdir / "runs" / "cnn-all-seed-0.joblib"
    edit_run(path, lambda run: replace(run, fitted=replace(run.fitted, arrays=[])))
    with pytest.raises(ExportError, match=r"weights of cnn are those of another network"):
        export(workdir, tmp_path / "out", "float16")


def test_an_older_bundle_stays_whole_if_the_new_one_fails(
    workdir: Path, tmp_path: Path, exported: Path
) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "out"))
    before = {name: (out / name).read_bytes() for name in FILES}
    names = set(out.iterdir())
    path = workdir / "runs" / "cnn-all-seed-0.joblib"
    edit_run(path, lambda run: replace(run, fitted=replace(run.fitted, arrays=_broken(run))))
    with pytest.raises(ExportError, match=r"exported cnn .* differs from Keras by nan"):
        export(workdir, out, "float16")
    assert {name: (out / name).read_bytes() for name in FILES} == before
    assert set(out.iterdir()) == names


def _broken(run: Run) -> list[NDArray[np.float32]]:
    assert run.fitted is not None
    return [np.full_like(array, np.nan) for array in run.fitted.arrays]


def test_the_command_tells_how_far_each_network_is_from_keras(exported: Path) -> None:
    said = (exported / "said").read_text()
    assert "speech: largest difference to Keras in probability: float32" in said
    assert f"Written to {exported}" in said


def test_the_command_fails_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--workdir", str(tmp_path), "--to", str(tmp_path / "out")]) == 1
    assert "report.json cannot be read (No such file or directory)" in capsys.readouterr().err
