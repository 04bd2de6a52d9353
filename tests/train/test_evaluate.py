import json
from pathlib import Path

import numpy as np
import pytest

from affectd.daemon.cli import main
from affectd.train.evaluate import EvaluateConfig, Run, evaluate, run_all
from affectd.train.examples import Examples, stored
from affectd.train.folds import split


def test_a_system_is_scored_on_every_clip_of_the_unseen_actors(examples: Examples) -> None:
    config = EvaluateConfig(networks=("mlp",), folds=(0,), seeds=(0, 1), epochs=2)
    runs = run_all(examples, config)
    assert [(run.system, run.seed) for run in runs] == [("mlp", 0), ("mlp", 1)]
    (result,) = evaluate(examples, runs)
    assert len(result.truth) == len(result.predicted) == 2 * 120
    assert len(result.per_seed) == 2


def certain(examples: Examples, system: str, right: bool) -> Run:
    """A run that is always right, or always wrong, about its test actors."""
    parts = split(examples, 0, 0)
    answers = (examples.emotion + (0 if right else 1)) % 8
    p = np.eye(8)[answers] * 0.9 + 0.0125
    return Run(
        system, 0, 0, parts.test, p[parts.test], parts.validation, p[parts.validation], {}, 1
    )


@pytest.mark.parametrize(("right", "uar"), [(True, 1.0), (False, 0.0)])
def test_answers_decide_the_score(right: bool, uar: float, examples: Examples) -> None:
    (result,) = evaluate(examples, [certain(examples, "mlp", right)])
    assert result.per_seed[0].uar == uar


def test_the_features_kept_in_the_folder_are_found_again(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectd.train import examples as module

    monkeypatch.setattr(module, "extract", lambda *_: examples)
    first = stored(examples.corpus, examples.spec, tmp_path, 1)
    monkeypatch.delattr(module, "extract")
    again = stored(examples.corpus, examples.spec, tmp_path, 1)
    np.testing.assert_array_equal(again.features, first.features)


def test_the_command_writes_figures_and_pictures(
    few_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train evaluate --ravdess {few_actors} --workdir {tmp_path}".split()
    words += ["--folds", "1", "--seeds", "1", "--epochs", "1", "--networks", "mlp", "--jobs", "1"]
    assert main(words) == 0
    assert "| mlp | " in capsys.readouterr().out
    folder = tmp_path / "evaluation"
    report = json.loads((folder / "report.json").read_text())
    assert 0 <= report["systems"]["mlp"]["uar"]["mean"] <= 1
    assert report["commit"]
    assert {path.name for path in folder.glob("*.png")} == {
        "classes.png",
        "mfcc.png",
        "confusion_mlp.png",
        "curves_mlp.png",
    }
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"({path.name})" in (folder / "report.md").read_text()
