import json
from pathlib import Path

import pytest

from affectd.daemon.cli import main
from affectd.train import data, options, report
from affectd.train.fits import BASELINES, ENCODED
from affectd.train.silence import utterances_an_hour

ONE_OF_EACH_FOLD = (1, 4, 8, 3, 2, 6)


@pytest.fixture(scope="module")
def six_actors(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real RAVDESS with a clip of each emotion by an actor of each fold."""
    root = tmp_path_factory.mktemp("six")
    for actor in ONE_OF_EACH_FOLD:
        folder = root / f"Actor_{actor:02}"
        folder.mkdir()
        for path in sorted((ravdess_root / folder.name).glob("03-01-*-01-01-01-*.flac")):
            (folder / path.name).symlink_to(path)
    return root


@pytest.fixture(autouse=True)
def short(few_boxes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "VOICES", 2)
    monkeypatch.setattr(report, "utterances_an_hour", lambda: utterances_an_hour(minutes=1))


def test_the_command_measures_and_writes_figures_and_pictures(
    six_actors: Path, encoder_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "evaluate", "--ravdess", str(six_actors), "--encoder", str(encoder_file)]
    words += ["--workdir", str(tmp_path), "--jobs", "1", "--seeds", "1", "--systems", "svm"]
    assert main([*words, "--set", "steps=3", "--json"]) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out.splitlines()[-1])
    assert "RAVDESS speech: 48 clips of 6 speakers" in captured.err
    folder = tmp_path / "evaluation"
    written = json.loads((folder / "report.json").read_text())
    assert written["config"]["recipe"]["steps"] == 3
    assert set(written["systems"]) == {"svm"}
    assert "heard_20" in written["systems"]["svm"]["uar"]
    text = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"({picture.name})" in text
    assert main(["train", "report", "--from", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--seeds", "0"], "'0' is not a whole number from 1"),
        (["--set", "steps"], "'steps' is not of the form INGREDIENT=VALUE"),
        (["--systems", "cnnn"], "invalid choice: 'cnnn'"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "evaluate", *words])
    assert why in capsys.readouterr().err


def test_an_ingredient_that_does_not_exist_is_refused_before_anything_is_extracted(
    six_actors: Path,
    encoder_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(data, "stored")
    words = ["train", "evaluate", "--ravdess", str(six_actors), "--encoder", str(encoder_file)]
    assert main([*words, "--workdir", str(tmp_path), "--set", "salt=1"]) == 1
    assert "'salt' is no ingredient; the recipe has steps" in capsys.readouterr().err


def test_a_missing_encoder_is_named_with_the_command_that_fetches_it(
    six_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "evaluate", "--ravdess", str(six_actors), "--workdir", str(tmp_path)]
    assert main([*words, "--encoder", str(tmp_path / "none.npz")]) == 1
    assert "none.npz cannot be read" in (error := capsys.readouterr().err)
    assert "affectd train fetch encoder" in error


def test_a_gate_without_noise_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "gate", "--ravdess", "nowhere"]) == 1
    assert "name folders with --noise" in capsys.readouterr().err


def test_every_system_can_be_chosen() -> None:
    assert (*ENCODED, *BASELINES) == options.SYSTEMS
