import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.cli import main
from affectd.train import fits, gates, runs
from affectd.train.ablation import CHANGES, ablate
from affectd.train.evaluate import by_fold, evaluate, tell
from affectd.train.examples import Examples
from affectd.train.fits import SERVED, Answers, Data, Run, heard_keys
from affectd.train.folds import Split, split
from affectd.train.recipe import Recipe
from affectd.train.runs import RunConfig, RunError, run_all, run_gates
from affectd.train.stored import StoredError
from affectd.train.tables import ablation_table

QUICK = RunConfig(networks=("svm", "mlp"), folds=(0,), seeds=(0,), recipe=Recipe(epochs=1))


def certain(examples: Examples, system: str, right: bool) -> Run:
    """A run that is always right, or always wrong."""
    parts = split(examples, 0, 0)
    p = np.eye(8)[(examples.emotion + (0 if right else 1)) % 8] * 0.9 + 0.0125

    def answers(rows: NDArray[np.int64]) -> Answers:
        return Answers(rows, {key: p[rows] for key, _, _ in heard_keys()})

    return Run(system, 0, 0, answers(parts.test), answers(parts.validation))


@pytest.mark.parametrize(("right", "uar"), [(True, 1.0), (False, 0.0)])
def test_answers_decide_the_score(right: bool, uar: float, examples: Examples) -> None:
    (result,) = evaluate(Data(examples), [certain(examples, "mlp", right)])
    assert result.figures["uar"][SERVED]["mean"] == uar
    assert result.figures["uar"][SERVED]["interval"] == [uar, uar]
    assert set(result.figures["per_actor"].values()) == {uar}
    assert set(result.figures["per_gender"]) == {"m"}
    assert set(result.figures["per_intensity"]) == {"normal", "strong"}


def test_every_clip_of_the_unseen_actors_is_scored_once(examples: Examples) -> None:
    told = tell(examples, [certain(examples, "mlp", True)], SERVED)
    asked = [
        i for i, clip in enumerate(examples.clips) if clip.speaker in ("ravdess_01", "ravdess_11")
    ]
    assert told.clip.tolist() == asked


def test_a_clip_without_an_utterance_counts_as_wrong(examples: Examples) -> None:
    run = certain(examples, "mlp", True)
    missing = examples.clip[run.test.rows[0]]
    heard = examples.clip[run.test.rows] != missing
    fewer = Answers(run.test.rows[heard], {key: p[heard] for key, p in run.test.by_heard.items()})
    told = tell(examples, [replace(run, test=fewer)], SERVED)
    assert told.predicted[told.clip == missing].tolist() == [-1]


def spoilt(examples: Examples) -> Examples:
    """The test actors' recordings, and those of their virtual voices, replaced by nonsense."""
    features = examples.features.copy()
    features[np.isin(examples.speaker, ("ravdess_01", "ravdess_11"))] = 1e4
    return replace(examples, features=features)


def learnt(examples: Examples, folder: Path) -> list[NDArray[np.floating[Any]]]:
    """All that a run takes from training and validation: what it was fitted to and calibrated by."""
    runs = run_all(Data(examples), QUICK, folder, jobs=1)
    values: list[NDArray[np.floating[Any]]] = []
    for run in runs:
        calibration = by_fold(examples, [run])[0]
        values += [run.validation.by_heard[SERVED], np.array([calibration.temperature])]
        values += [np.array([calibration.threshold, calibration.conformal])]
        if run.fitted is not None:
            values += [run.fitted.prior.mean, run.fitted.prior.std, *run.fitted.arrays]
    return values


def alike(one: list[NDArray[np.floating[Any]]], two: list[NDArray[np.floating[Any]]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_no_test_actor_reaches_training_validation_normalisation_or_calibration(
    examples: Examples, tmp_path: Path
) -> None:
    assert alike(learnt(examples, tmp_path / "a"), learnt(spoilt(examples), tmp_path / "b"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_planted_leak_is_found(
    part: str, examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(examples: Examples, fold: int, seed: int) -> Split:
        parts = split(examples, fold, seed)
        grown = np.append(getattr(parts, part), parts.test[:1])
        return replace(parts, **{part: grown})

    monkeypatch.setattr(fits, "split", leaking)
    assert not alike(learnt(examples, tmp_path / "a"), learnt(spoilt(examples), tmp_path / "b"))


def judged(examples: Examples, noise: Examples, folder: Path) -> NDArray[np.float64]:
    """What the gate of the first fold says of noise that it has not learnt."""
    (gate,) = run_gates(Data(examples, noise=noise), QUICK, 1, folder, jobs=1)
    return gate.p["noise"]


@pytest.mark.parametrize("is_leaking", [False, True])
def test_no_test_actor_reaches_the_gate_unless_a_leak_is_planted(
    is_leaking: bool,
    examples: Examples,
    noise: Examples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leaking(examples: Examples, fold: int, seed: int) -> Split:
        parts = split(examples, fold, seed)
        return replace(parts, train=np.append(parts.train, parts.test))

    if is_leaking:
        monkeypatch.setattr(gates, "split", leaking)
    one = judged(examples, noise, tmp_path / "a")
    other = judged(spoilt(examples), noise, tmp_path / "b")
    assert np.array_equal(one, other) is not is_leaking


def test_runs_go_on_where_they_ended(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_all(Data(examples), QUICK, tmp_path, jobs=1)
    (tmp_path / "mlp-fold1-seed0.joblib").unlink()
    fitted: list[str] = []
    real = fits.fit_one

    def recorded(data: Data, system: str, *others: object) -> object:
        fitted.append(system)
        return real(data, system, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "fit_one", recorded)
    again = run_all(Data(examples), QUICK, tmp_path, jobs=1)
    assert fitted == ["mlp"]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_allclose(one.test.by_heard[SERVED], two.test.by_heard[SERVED], atol=1e-6)


def test_runs_of_another_recipe_are_not_taken_up(examples: Examples, tmp_path: Path) -> None:
    only = replace(QUICK, networks=("svm",))
    run_all(Data(examples), only, tmp_path, jobs=1)
    other = replace(only, recipe=Recipe(epochs=2, dropout=0.1))
    with pytest.raises(RunError, match=r"it differs in epochs, dropout\); name another --workdir"):
        run_all(Data(examples), other, tmp_path, jobs=1)


def test_runs_of_other_code_are_not_taken_up(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = replace(QUICK, networks=("svm",))
    run_all(Data(examples), only, tmp_path, jobs=1)
    monkeypatch.setattr(runs, "FITTING", runs.FITTING[1:])
    with pytest.raises(RunError, match=r"it differs in code\); name another --workdir"):
        run_all(Data(examples), only, tmp_path, jobs=1)


def test_a_damaged_run_is_told_and_can_be_made_again(examples: Examples, tmp_path: Path) -> None:
    only = replace(QUICK, networks=("svm",))
    run_all(Data(examples), only, tmp_path, jobs=1)
    path = tmp_path / "svm-fold1-seed0.joblib"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        StoredError, match=r"svm-fold1-seed0\.joblib is damaged .*remove it and run"
    ):
        run_all(Data(examples), only, tmp_path, jobs=1)


def test_a_dask_cluster_takes_the_folds(examples: Examples, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    only = replace(QUICK, networks=("svm",), seeds=(0, 1))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        there = run_all(Data(examples), only, tmp_path / "a", 1, cluster.scheduler_address)
    here = run_all(Data(examples), only, tmp_path / "b", jobs=1)
    for one, two in zip(there, here, strict=True):
        np.testing.assert_allclose(one.test.by_heard[SERVED], two.test.by_heard[SERVED])


def test_a_scheduler_that_is_not_there_is_named(examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_all(Data(examples), QUICK, tmp_path, 1, "tcp://127.0.0.1:9")


def test_the_command_writes_figures_and_pictures(
    few_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train evaluate --ravdess {few_actors} --workdir {tmp_path} --jobs 1 --json".split()
    words += ["--folds", "1", "--seeds", "1", "--set", "epochs=1", "--networks", "svm", "mlp"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["uar"]["mlp"]) == {"heard_0", "heard_20", "heard_20_neutral"}
    folder = tmp_path / "evaluation"
    report = json.loads((folder / "report.json").read_text())
    assert report["config"]["recipe"]["epochs"] == 1
    assert report["commit"]
    text = (folder / "report.md").read_text()
    pictures = {path.name for path in folder.glob("*.png")}
    assert {"confusion_svm.png", "curves_mlp.png", "adaptation.png"} <= pictures
    for name in pictures:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in text
    assert main(["train", "report", "--from", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary


def test_an_ablation_compares_validation_speakers(
    few_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train ablate --ravdess {few_actors} --workdir {tmp_path} --jobs 1".split()
    words += ["--folds", "1", "--seeds", "1", "--set", "epochs=1", "--set", "filters=2"]
    words += ["--set", "width=8", "--set", "units=4", "--only"]
    assert main([*words, "without label smoothing"]) == 0
    table = capsys.readouterr().out
    assert "| the recipe | " in table
    assert "| without label smoothing | " in table
    words = f"train evaluate --ravdess {few_actors} --workdir {tmp_path} --jobs 1".split()
    words += ["--folds", "1", "--seeds", "1", "--set", "epochs=1", "--networks", "svm"]
    assert main(words) == 0
    report = (tmp_path / "evaluation" / "report.md").read_text()
    assert "| without label smoothing | " in report
    assert "(ablation.png)" in report
    assert (tmp_path / "evaluation" / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_a_change_is_tried_on_one_network(examples: Examples, tmp_path: Path) -> None:
    small = Recipe(epochs=1, members=1, filters=2, width=8, units=4)
    config = replace(QUICK, networks=("cnn", "lstm"), recipe=small)
    changes = {name: CHANGES[name] for name in ("the recipe", "with an LSTM one way")}
    made = ablate(Data(examples), config, changes, tmp_path, jobs=1)
    assert set(made["changes"]["the recipe"]) == {"cnn", "lstm", "cnn+lstm"}
    assert set(made["changes"]["with an LSTM one way"]) == {"lstm"}
    row = ablation_table(made).splitlines()[-1]
    assert row.startswith("| with an LSTM one way |  | ")


def test_an_ablation_of_nothing_known_is_refused(
    few_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ablate", "--ravdess", str(few_actors), "--workdir", str(tmp_path)]
    assert main([*words, "--only", "without salt"]) == 1
    assert "there is no change 'without salt'; there are the recipe" in capsys.readouterr().err


def test_a_missing_report_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "report", "--from", str(tmp_path)]) == 1
    assert "report.json cannot be read" in capsys.readouterr().err
