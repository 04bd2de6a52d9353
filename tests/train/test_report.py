import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from affectd.daemon.cli import main
from affectd.train import report
from affectd.train.examples import Examples, digest
from affectd.train.fits import Data
from affectd.train.recipe import Recipe
from affectd.train.tables import ABLATION, FORMATS, markdown


def test_the_committed_report_gives_the_main_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "report", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary) == {"uar", "seeds", "ece", "coverage", "noise_readings_per_hour"}
    assert {"cnn+lstm", "cnn", "lstm", "mlp", "svm"} <= set(summary["uar"])
    for figures in summary["uar"].values():
        assert set(figures) == {"heard_0", "heard_20", "heard_20_neutral"}
    assert set(summary["coverage"]) == {"mean", "min_actor", "set_size"}
    assert summary["noise_readings_per_hour"] >= 0


def test_the_committed_report_is_what_its_figures_say() -> None:
    committed = report.load(report.COMMITTED)
    assert (report.COMMITTED / "report.md").read_text() == markdown(committed)
    for name in (path.name for path in report.COMMITTED.glob("*.png")):
        assert f"({name})" in markdown(committed)


def test_the_default_bundle_was_measured_by_the_committed_report() -> None:
    from affectd.daemon.emotion import bundle

    committed, shipped = report.load(report.COMMITTED), bundle.load(bundle.DEFAULT)
    assert shipped.measured.commit == committed["commit"]
    joined = committed["systems"]["cnn+lstm"]
    assert shipped.figures["cnn+lstm"]["uar_heard_20"] == joined["uar"]["heard_20"]["mean"]


@pytest.mark.parametrize(("content", "why"), [("{", "is damaged"), ("{}", "is no report")])
def test_a_file_that_is_no_report_is_told(content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(report.ReportError, match=why):
        report.load(tmp_path)


def evaluated(folder: Path, data: Data, recipe: Recipe) -> None:
    """A report of nothing but its recipe and data."""
    made = {"data": digest(data.examples), "config": {"recipe": asdict(recipe)}}
    rest = {"systems": {}, "silence": {}, "fitted_s": 0}
    (folder / "report.json").write_text(json.dumps(made | rest))


def test_a_result_of_the_same_recipe_and_data_belongs_to_a_report(
    examples: Examples, tmp_path: Path
) -> None:
    data = Data(examples)
    report.put_beside(tmp_path, FORMATS, data, {"float16": {"cnn": 0.5}}, Recipe())
    evaluated(tmp_path, data, Recipe())
    found = report.load(tmp_path)
    assert found[FORMATS] == {"float16": {"cnn": 0.5}}
    assert ABLATION not in found


def test_an_ablation_of_a_smaller_recipe_belongs_to_a_report(
    examples: Examples, tmp_path: Path
) -> None:
    data = Data(examples)
    report.put_beside(tmp_path, ABLATION, data, {"changes": {}})
    evaluated(tmp_path, data, Recipe(epochs=7))
    assert report.load(tmp_path)[ABLATION] == {"changes": {}}


def test_a_result_of_another_recipe_or_other_data_is_refused(
    examples: Examples, tmp_path: Path
) -> None:
    data, others = Data(examples), Data(replace(examples, clips=examples.clips[1:]))
    report.put_beside(tmp_path, FORMATS, data, {}, Recipe())
    for measured, recipe in ((data, Recipe(epochs=7)), (others, Recipe())):
        evaluated(tmp_path, measured, recipe)
        with pytest.raises(report.ReportError, match=r"formats\.json is of another recipe or"):
            report.load(tmp_path)


def test_a_result_that_does_not_belong_to_a_report_replaces_none(
    examples: Examples, tmp_path: Path
) -> None:
    evaluated(tmp_path, Data(examples), Recipe())
    others = Data(replace(examples, clips=examples.clips[1:]))
    with pytest.raises(report.ReportError, match="other recordings"):
        report.put_beside(tmp_path, FORMATS, others, {}, Recipe())
    assert not (tmp_path / "formats.json").exists()


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_result_beside_a_report_is_told(
    content: str, examples: Examples, tmp_path: Path
) -> None:
    evaluated(tmp_path, Data(examples), Recipe())
    (tmp_path / "gate.json").write_text(content)
    with pytest.raises(report.ReportError, match=r"gate\.json is damaged"):
        report.load(tmp_path)
