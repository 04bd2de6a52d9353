from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affectd.daemon.emotion.decision import combine
from affectd.train import gates, runs
from affectd.train.corpora.corpus import CorpusError
from affectd.train.fits import BASELINES, ENCODED, SERVED, Data, Run, fit_one
from affectd.train.folds import names
from affectd.train.networks import NETWORKS, mlp
from affectd.train.runs import JOINED, RunConfig, RunError, run_all
from affectd.train.stored import StoredError
from tests.train import made

QUICK = RunConfig(systems=("svm", "mlp"), seeds=(0,), recipe=made.TINY, splits=("fold 1",))
ONLY_SVM = replace(QUICK, systems=("svm",))


def test_baselines_are_fitted_on_folds_alone(made_up: Data) -> None:
    tasks = list(RunConfig(seeds=(0, 1)).tasks(made_up))
    splits = list(names(made_up.examples))
    folds = [name for name in splits if name.startswith("fold")]
    assert len(tasks) == len(set(tasks)) == 2 * (len(splits) * len(ENCODED) + 6 * len(BASELINES))
    assert {name for system, name, _ in tasks if system in BASELINES} == set(folds)


def test_cnn_and_lstm_answer_together(
    made_up: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cnn", "lstm"):
        monkeypatch.setitem(NETWORKS, name, mlp)  # is compiled sooner
    config = replace(QUICK, systems=("cnn", "lstm"), splits=("without nemo",), seeds=(0,))
    found = {run.system: run for run in run_all(made_up, config, tmp_path, jobs=1)}
    assert list(found) == ["cnn", "lstm", JOINED]
    both = combine([found[name].test.by_heard[SERVED] for name in ("cnn", "lstm")])
    np.testing.assert_array_equal(found[JOINED].test.by_heard[SERVED], both)
    assert (found[JOINED].split, found[JOINED].seed) == ("without nemo", 0)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Systems that are fitted, in order."""
    systems: list[str] = []

    def recorded(data: Data, system: str, *others: object) -> Run:
        systems.append(system)
        return fit_one(data, system, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "fit_one", recorded)
    return systems


def test_runs_go_on_where_they_ended(made_up: Data, tmp_path: Path, fitted: list[str]) -> None:
    first = run_all(made_up, QUICK, tmp_path, jobs=1)
    (tmp_path / "mlp-fold-1-seed-0.joblib").unlink()
    again = run_all(made_up, QUICK, tmp_path, jobs=1)
    assert fitted == ["svm", "mlp", "mlp"]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.test.by_heard[SERVED], two.test.by_heard[SERVED])


def test_systems_seeds_and_splits_may_be_added(
    made_up: Data, tmp_path: Path, fitted: list[str]
) -> None:
    run_all(made_up, ONLY_SVM, tmp_path, jobs=1)
    more = replace(ONLY_SVM, seeds=(0, 1), splits=("fold 1", "fold 2"))
    assert len(run_all(made_up, more, tmp_path, jobs=1)) == 4
    assert fitted == ["svm"] * 4


def other_recipe(config: RunConfig, data: Data) -> tuple[RunConfig, Data]:
    return replace(config, recipe=replace(made.TINY, steps=4, dropout=0.1)), data


def other_labels(config: RunConfig, data: Data) -> tuple[RunConfig, Data]:
    return config, replace(data, examples=made.relabelled(data.examples, heard=(1,)))


def other_tests(config: RunConfig, data: Data) -> tuple[RunConfig, Data]:
    return config, replace(data, test_only=None)


@pytest.mark.parametrize(
    ("change", "what"),
    [(other_recipe, "steps, dropout"), (other_labels, "data"), (other_tests, "data")],
)
def test_runs_of_another_recipe_or_of_other_data_are_not_taken_up(
    change: Callable[[RunConfig, Data], tuple[RunConfig, Data]],
    what: str,
    made_up: Data,
    tmp_path: Path,
) -> None:
    run_all(made_up, ONLY_SVM, tmp_path, jobs=1)
    config, data = change(ONLY_SVM, made_up)
    with pytest.raises(RunError, match=rf"it differs in {what}\); name another --workdir, or rem"):
        run_all(data, config, tmp_path, jobs=1)


def test_runs_of_other_code_are_not_taken_up(
    made_up: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all(made_up, ONLY_SVM, tmp_path, jobs=1)
    monkeypatch.setattr(runs, "FITTING", runs.FITTING[1:])
    with pytest.raises(RunError, match=r"it differs in code\); name another --workdir"):
        run_all(made_up, ONLY_SVM, tmp_path, jobs=1)


def test_all_code_that_makes_a_run_counts() -> None:
    here = Path(runs.__file__).parent
    assert all((here / f"{name}.py").is_file() for name in (*runs.FITTING, *gates.FITTING))
    assert {"adaptation", "batches", "fit", "fits", "folds", "networks"} <= set(runs.FITTING)


@pytest.mark.parametrize("content", ["{", ""])
def test_a_damaged_configuration_of_runs_is_named(
    content: str, made_up: Data, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json is damaged .*; remove .* and run again"):
        run_all(made_up, ONLY_SVM, tmp_path, jobs=1)


def test_a_damaged_run_is_named_and_can_be_made_again(made_up: Data, tmp_path: Path) -> None:
    run_all(made_up, ONLY_SVM, tmp_path, jobs=1)
    path = tmp_path / "svm-fold-1-seed-0.joblib"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoredError, match=r"svm-fold-1-seed-0\.joblib is damaged .*remove it"):
        run_all(made_up, ONLY_SVM, tmp_path, jobs=1)
    path.unlink()
    assert len(run_all(made_up, ONLY_SVM, tmp_path, jobs=1)) == 1


def test_what_cannot_be_fitted_is_told_before_anything_is(
    tmp_path: Path, fitted: list[str]
) -> None:
    few = Data(made.corpus("home", [f"home_{n}" for n in "abcd"]), made.NO_ENCODER)
    with pytest.raises(CorpusError, match=r"home has 4 speaker\(s\), 6 are needed"):
        run_all(few, replace(QUICK, splits=("all", "fold 1")), tmp_path / "runs", jobs=1)
    assert fitted == []
    assert not (tmp_path / "runs").exists()


def test_a_dask_cluster_takes_the_fits(made_up: Data, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    two = replace(ONLY_SVM, seeds=(0, 1))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        there = run_all(made_up, two, tmp_path / "a", 1, cluster.scheduler_address)
    here = run_all(made_up, two, tmp_path / "b", jobs=1)
    for one, other in zip(there, here, strict=True):
        np.testing.assert_allclose(one.test.by_heard[SERVED], other.test.by_heard[SERVED])


def test_a_scheduler_that_is_not_there_is_named(made_up: Data, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_all(made_up, QUICK, tmp_path, 1, "tcp://127.0.0.1:9")
