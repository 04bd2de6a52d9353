from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affectd.daemon.cli import main
from affectd.train.ablation import CHANGES, ablate
from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import join
from affectd.train.fits import MAIN, Data
from affectd.train.networks import NETWORKS, mlp
from affectd.train.runs import RunConfig
from affectd.train.tables import ablation_table
from tests.train import made

COMPARED = ("the recipe", "without label smoothing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture(scope="module")
def result(folder: Path) -> Iterator[dict[str, Any]]:
    one = made.corpus("nemo", ["nemo_a", "nemo_b"], (0, 2, 3, 4))
    two = made.corpus("home", ["home_a", "home_b"], (0, 2, 3, 4))
    data = Data(join([one, two]), made.NO_ENCODER, test_only=made.ravdess())
    config = RunConfig(seeds=(0,), recipe=made.TINY)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cnn", "lstm"):
            patch.setitem(NETWORKS, name, mlp)  # is compiled sooner
        changes = {name: CHANGES[name] for name in COMPARED}
        yield ablate(data, config, changes, folder, jobs=1)


def test_a_change_is_measured_on_corpora_that_were_left_out(result: dict[str, Any]) -> None:
    assert result["left_out"] == ["without nemo", "without home"]
    assert list(result["changes"]) == list(COMPARED)
    for of_change in result["changes"].values():
        assert set(of_change) == {key for key, _, _ in MAIN}
        for figures in of_change.values():
            assert 0 <= figures["uar"] <= 1


def test_the_gain_of_a_change_is_over_the_recipe(result: dict[str, Any]) -> None:
    recipe, change = (result["changes"][name] for name in COMPARED)
    for key in recipe:
        assert recipe[key]["gain"] == recipe[key]["error"] == 0
        assert change[key]["gain"] == pytest.approx(change[key]["uar"] - recipe[key]["uar"])


def test_every_change_has_runs_of_its_own_to_go_on_with(
    result: dict[str, Any], folder: Path
) -> None:
    for name in COMPARED:
        runs = folder / name.replace(" ", "-")
        assert len(list(runs.glob("*.joblib"))) == 2 * 2  # systems and splits
        assert (runs / "config.json").is_file()


def test_ingredients_that_differ_from_the_usual_recipe_are_listed(result: dict[str, Any]) -> None:
    assert result["other_than_usual"]["steps"] == made.TINY.steps


def test_the_table_has_a_line_for_each_change(result: dict[str, Any]) -> None:
    table = ablation_table(result)
    for name in COMPARED:
        assert f"| {name} | " in table


def test_a_change_that_is_unknown_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ablate", "--ravdess", str(tmp_path / "nowhere")]
    assert main([*words, "--workdir", str(tmp_path), "--only", "without salt"]) == 1
    assert "there is no change 'without salt'; there are the recipe" in capsys.readouterr().err


def test_a_corpus_alone_cannot_be_left_out(tmp_path: Path) -> None:
    data = Data(made.ravdess(), made.NO_ENCODER)
    with pytest.raises(CorpusError, match=r"only one is named; name others"):
        ablate(data, RunConfig(), CHANGES, tmp_path, jobs=1)
