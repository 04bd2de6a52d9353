import json
from dataclasses import asdict
from pathlib import Path

import pytest

from affectd.daemon.cli import main
from affectd.train import report
from affectd.train.examples import Examples
from affectd.train.fits import Data
from affectd.train.recipe import Recipe


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
    assert (report.COMMITTED / "report.md").read_text() == report.markdown(committed)
    for name in (path.name for path in report.COMMITTED.glob("*.png")):
        assert f"({name})" in report.markdown(committed)


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


@pytest.fixture
def formats(examples: Examples, tmp_path: Path) -> tuple[Path, Data]:
    """A folder with what the formats cost, and of which data."""
    data = Data(examples)
    report.put_beside(tmp_path, report.FORMATS, data, Recipe(), {"float16": {"cnn": 0.5}})
    return tmp_path, data


def test_a_result_of_the_same_recipe_and_data_is_put_into_a_report(
    formats: tuple[Path, Data],
) -> None:
    folder, data = formats
    found = report.beside(folder, report.FORMATS, asdict(Recipe()), data.digest())
    assert found == {"float16": {"cnn": 0.5}}
    assert report.beside(folder, report.ABLATION, asdict(Recipe()), data.digest()) is None


def test_a_result_of_another_recipe_or_other_data_is_refused(formats: tuple[Path, Data]) -> None:
    folder, data = formats
    for recipe, digest in ((Recipe(epochs=7), data.digest()), (Recipe(), "others")):
        with pytest.raises(report.ReportError, match=r"formats\.json is of another recipe or"):
            report.beside(folder, report.FORMATS, asdict(recipe), digest)


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_result_beside_a_report_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "formats.json").write_text(content)
    with pytest.raises(report.ReportError, match=r"formats\.json is damaged"):
        report.beside(tmp_path, report.FORMATS, {}, "")
