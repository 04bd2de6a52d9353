import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.cli import main
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train import plots, report
from affectd.train.conditions import Trials
from affectd.train.corpora.corpus import Clip, Corpus
from affectd.train.encoder import Encoder
from affectd.train.evaluate import Evaluation, evaluate
from affectd.train.examples import Examples, digest
from affectd.train.fits import BASELINES, ENCODED, MAIN, Answers, Data, Run, heard_keys, held_out
from affectd.train.folds import ALL, FOLD, names, split
from affectd.train.runs import JOINED, RunConfig, made_of
from affectd.train.tables import ABLATION, GATE, markdown

MAIN_KEYS = {"heard_0", "heard_20", "heard_20_neutral"}
SEEDS = (0, 1)
PICTURES = {
    *("adaptation.png", "classes.png", "confusion_cnn_lstm.png", "confusion_corpora.png"),
    *("corpora.png", "losses.png", "reliability.png", "risk_coverage.png", "speakers.png"),
    *("trials.png", "way.png"),
}
GATE_RESULT: dict[str, Any] = {
    "commit": "abc",
    "finished": "2026-11-28T00:00:00Z",
    "folds": 6,
    "seeds": 2,
    "steps": 300,
    "household": "household",
    "threshold": 0.81234567,
    "speech_kept": 0.98765432,
    "kept_in_trials": dict.fromkeys(Trials.NAMES, 0.5),
    "sounds": {
        "household": {"hours": 2.0, "utterances": 9.0, "passed": 1.0, "passed_per_hour": 0.5},
        "music": {"hours": 1.0, "utterances": 5.0, "passed": 3.0, "passed_per_hour": 3.0},
    },
    "curve": {"threshold": [0.2, 0.8], "test actors": [1.0, 0.9], "household": [0.3, 0.1]},
}
ABLATION_RESULT: dict[str, Any] = {
    "commit": "abc",
    "other_than_usual": {"steps": 300},
    "left_out": ["without nemo"],
    "seeds": [0],
    "changes": {
        name: {key: {"uar": 0.5 + gain, "gain": gain, "error": 0.01} for key in MAIN_KEYS}
        for name, gain in (("the recipe", 0.0), ("with mixup", -0.02))
    },
}


def made_up(corpora: dict[str, tuple[int, int]], conditions: int = 1) -> Examples:
    """One utterance a clip of random values.

    corpora: number of speakers and of emotions by name; every speaker says each emotion twice.
    """
    clips = tuple(
        Clip(
            Path(f"{corpus}/{speaker}-{emotion}-{take}.wav"),
            corpus,
            f"{corpus}_{speaker:02}",
            emotion,
            "m" if speaker % 2 else "f",
        )
        for corpus, (speakers, emotions) in corpora.items()
        for speaker in range(1, speakers + 1)
        for emotion in range(emotions)
        for take in range(2)
    )
    count = conditions * len(clips)
    random = np.random.default_rng(len(clips))
    return Examples(
        frames=random.normal(size=(count, 2, 3)).astype(np.float16),
        spectra=random.normal(size=(count, 4, 3)).astype(np.float16),
        count=np.full(count, 2),
        clip=np.tile(np.arange(len(clips)), conditions),
        condition=np.repeat(np.arange(conditions), len(clips)),
        clips=clips,
        seconds=np.full(len(clips), 2.0),
    )


def answered(
    examples: Examples,
    rows: NDArray[np.int64],
    keys: Sequence[tuple[str, int, bool]],
    random: np.random.Generator,
) -> Answers:
    """Random probabilities that lean to the truth."""
    by_heard = {}
    for key, _, _ in keys:
        p = random.dirichlet(np.ones(len(EMOTIONS)), size=len(rows))
        by_heard[key] = 0.7 * p + 0.3 * np.eye(len(EMOTIONS))[examples.emotion[rows]]
    return Answers(rows, by_heard)


def run(data: Data, system: str, name: str, seed: int) -> Run:
    """A made-up run that is asked all that fit_one() asks."""
    random = np.random.default_rng([seed, *f"{system} {name}".encode()])
    is_fold, is_baseline = name.startswith(FOLD), system in BASELINES
    parts, others = split(data.examples, name), {}
    if is_fold and not is_baseline and data.trials is not None:
        testers = np.unique(data.examples.speaker[parts.test])
        rows = np.flatnonzero(np.isin(data.trials.speaker, testers))
        others["trials"] = answered(data.trials, rows, MAIN[:2], random)
    if is_fold and not is_baseline and data.plain is not None:
        rows = held_out(data.plain, int(name.removeprefix(FOLD)))
        others["plain"] = answered(data.plain, rows, MAIN[1:2], random)
    asked, rows = data.examples, parts.test
    if name == ALL and data.test_only is not None:
        asked, rows = data.test_only, np.arange(len(data.test_only.clip))
    keys = tuple(heard_keys()) if is_fold else MAIN
    losses = [] if system in (JOINED, "svm") else list(random.uniform(size=4))
    return Run(system, name, seed, answered(asked, rows, keys, random), others, losses)


def runs(data: Data, *systems: str) -> list[Run]:
    return [
        run(data, system, name, seed)
        for seed in SEEDS
        for name in names(data.examples)
        for system in systems
        if name.startswith(FOLD) or system not in BASELINES
    ]


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(
        examples=made_up({"ravdess": (24, 8), "nemo": (3, 6), "indian": (4, 4)}),
        encoder=Encoder(Path("build/encoder-made-up.tflite"), "0" * 64),
        test_only=made_up({"ased": (3, 5), "my_table": (2, 3)}),
        trials=made_up({"ravdess": (24, 8)}, len(Trials.NAMES)),
        plain=made_up({"plain_speech": (12, 1)}),
    )


@pytest.fixture(scope="module")
def evaluations(data: Data) -> list[Evaluation]:
    return evaluate(data, runs(data, *BASELINES, *ENCODED, JOINED))


def of(evaluations: Sequence[Evaluation], system: str) -> Evaluation:
    return next(one for one in evaluations if one.system == system)


def write(folder: Path, data: Data, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    corpus = Corpus("RAVDESS speech", "CC BY-NC-SA 4.0", data.examples.clips[:9])
    made = report.Made(RunConfig(seeds=SEEDS), (corpus,), "many utterances", 7200.0, 0.06)
    return report.write(folder, data, made, evaluations)


@pytest.fixture(scope="module")
def folder(
    data: Data, evaluations: list[Evaluation], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A report of every system on every split, without what other commands put beside it."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "utterances_an_hour", lambda: {"digital silence": 0.0})
        write(folder, data, evaluations)
    return folder


@pytest.fixture(autouse=True)
def no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard in silence has tests of its own and takes seconds."""
    monkeypatch.setattr(report, "utterances_an_hour", lambda: {"digital silence": 0.0})


def shown(text: str) -> set[str]:
    """Names of the pictures in a report for a person."""
    return set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))


def row(text: str, name: str) -> list[str]:
    """The cells behind a name in the first table that has a line of it."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_committed_report_gives_the_main_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "report", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["uar"]) == {JOINED, *ENCODED, *BASELINES}
    for protocol in ("left_out", "test_only"):
        assert set(summary[protocol]["mean"]) == MAIN_KEYS
        for figures in summary[protocol]["corpora"].values():
            assert set(figures) == MAIN_KEYS
    for figures in summary["uar"].values():
        assert set(figures) == MAIN_KEYS
    for honesty in ("ece", "coverage", "unknown", "accuracy_if_known"):
        assert set(summary[honesty]) == {"ravdess", "left_out", "test_only"}
    assert 0.9 < summary["gate"]["speech_kept"] <= 1
    assert summary["seeds"] == 3


def test_the_committed_report_is_what_its_figures_say() -> None:
    committed = report.load(report.COMMITTED)
    text = (report.COMMITTED / "report.md").read_text()
    assert text == markdown(committed)
    assert shown(text) == {path.name for path in report.COMMITTED.glob("*.png")}


def test_the_default_bundle_was_measured_by_the_committed_report() -> None:
    from affectd.daemon.emotion import bundle

    committed, shipped = report.load(report.COMMITTED), bundle.load(bundle.DEFAULT)
    assert shipped.measured.commit == committed["commit"]
    joined = committed["systems"]["cnn+lstm"]
    assert shipped.figures["cnn+lstm"]["uar_heard_20"] == joined["uar"]["heard_20"]["mean"]


def test_every_picture_is_shown(folder: Path) -> None:
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == shown((folder / "report.md").read_text()) == PICTURES
    for name in drawn:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_report_names_the_encoder_that_made_its_frames(folder: Path, data: Data) -> None:
    encoder = report.load(folder)["encoder"]
    assert encoder == {
        "file": "encoder-made-up.tflite",
        "sha256": "0" * 64,
        "blocks": [2],
        "weights": "dynamic",
        "parity": 0.06,
    }
    assert "encoder-made-up.tflite, block 2, dynamic weights" in (folder / "report.md").read_text()


def test_a_report_says_which_recipe_data_and_code_its_runs_are_of(folder: Path, data: Data) -> None:
    runs_of = report.load(folder)["runs"]
    assert runs_of == made_of(RunConfig(seeds=SEEDS), data)
    assert runs_of != made_of(RunConfig(seeds=SEEDS), replace(data, test_only=None))


def test_a_report_says_of_how_many_seeds_its_figures_are(
    folder: Path, tmp_path: Path, data: Data
) -> None:
    assert "\n2 seeds; commit " in (folder / "report.md").read_text()
    evaluated(tmp_path, data)
    report.put_beside(tmp_path, GATE, data, GATE_RESULT)
    report.put_beside(tmp_path, ABLATION, data, ABLATION_RESULT)
    text = (tmp_path / "report.md").read_text()
    assert "\n1 seed; commit " in text
    assert "\n6 folds, 2 seeds, 300 steps; commit " in text
    assert "without nemo, 1 seed, commit " in text


def test_a_report_says_what_its_networks_are_calibrated_on(
    folder: Path, tmp_path: Path, data: Data
) -> None:
    assert "are calibrated on the left-out corpora." in (folder / "report.md").read_text()
    only = Data(made_up({"nemo": (6, 6)}), data.encoder, test_only=data.test_only)
    write(tmp_path, only, evaluate(only, runs(only, "cnn", "lstm", JOINED)))
    assert "are calibrated on the folds." in (tmp_path / "report.md").read_text()


def test_a_summary_has_the_figures_of_every_protocol(
    folder: Path, evaluations: list[Evaluation]
) -> None:
    summary = report.summary(report.load(folder))
    figures = of(evaluations, JOINED).figures
    assert set(summary["uar"]) == {JOINED, *ENCODED, *BASELINES}
    assert summary["uar"][JOINED]["heard_0"] == round(figures["uar"]["heard_0"]["mean"], 4)
    assert set(summary["left_out"]["corpora"]) == {"ravdess", "nemo", "indian"}
    assert set(summary["test_only"]["corpora"]) == {"ased", "my_table"}
    for protocol in ("left_out", "test_only"):
        mean = figures[protocol]["mean"]["heard_20"]["mean"]
        assert summary[protocol]["mean"]["heard_20"] == round(mean, 4)
        for honesty in ("ece", "coverage", "unknown", "accuracy_if_known"):
            value = round(figures["doubt"][protocol][honesty], 4)
            assert summary[honesty][protocol] == value
    assert summary["ece"]["ravdess"] == round(figures["doubt"]["folds"]["ece"], 4)
    assert summary["same_at_any_gain"] == round(figures["same_at_any_gain"], 4)
    assert summary["seeds"] == 2
    assert summary["gate"] is None


def test_figures_that_are_missing_are_null_in_a_summary(tmp_path: Path, data: Data) -> None:
    only = Data(data.examples, data.encoder)
    summary = report.summary(write(tmp_path, only, evaluate(only, runs(only, "svm", "mlp"))))
    assert set(summary["uar"]["svm"]) == MAIN_KEYS
    assert summary["uar"][JOINED] is None
    assert summary["left_out"] is summary["test_only"] is summary["same_at_any_gain"] is None
    assert summary["coverage"] == {"ravdess": None, "left_out": None, "test_only": None}
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == shown((tmp_path / "report.md").read_text())
    assert drawn == {"adaptation.png", "classes.png", "way.png"}


def test_the_way_from_the_ancestor_is_drawn_for_ravdess_alone(tmp_path: Path, data: Data) -> None:
    only = Data(made_up({"nemo": (6, 6)}), data.encoder)
    write(tmp_path, only, evaluate(only, runs(only, "cnn", "lstm", JOINED)))
    assert not (tmp_path / "way.png").exists()
    assert {path.name for path in tmp_path.glob("*.png")} == shown(
        (tmp_path / "report.md").read_text()
    )


def test_each_corpus_is_listed_with_language_and_chance(
    folder: Path, evaluations: list[Evaluation]
) -> None:
    text = (folder / "report.md").read_text()
    assert row(text, "indian")[:3] == ["Indian languages", "32", "25.0"]
    assert row(text, "ased")[:3] == ["Amharic", "30", "20.0"]
    assert row(text, "my_table")[:3] == ["", "12", "33.3"]
    low, high = of(evaluations, JOINED).figures["left_out"]["corpora"]["nemo"]["uar"]["heard_20"][
        "interval"
    ]
    assert row(text, "nemo")[6] == f"{100 * low:.1f} to {100 * high:.1f}"
    assert row(text, "mean, cnn")[:3] == ["", "", ""]


def test_each_emotion_has_a_recall_where_it_was_tested(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    text = text[text.index("by emotion and gender") :]
    assert all(row(text, "unseen speakers of ravdess"))
    assert [bool(cell) for cell in row(text, "indian")] == [True] * 4 + [False] * 4 + [True] * 2


def test_the_command_prints_the_summary_of_a_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "report", "--from", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report.summary(report.load(folder))


@pytest.mark.parametrize(("content", "why"), [("{", "is damaged"), ("{}", "is no report")])
def test_a_file_that_is_no_report_is_refused(content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(report.ReportError, match=why):
        report.load(tmp_path)


def test_a_missing_report_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(report.ReportError, match=r"cannot be read .* run `affectd train evaluate`"):
        report.load(tmp_path)


def evaluated(folder: Path, data: Data) -> None:
    """A report that has no figures."""
    figures: dict[str, Any] = {
        "commit": "abc",
        "finished": "2026-11-28T00:00:00Z",
        "fitted_s": 0,
        "config": {"seeds": [0], "splits": [], "recipe": {}},
        "encoder": {"file": "encoder.tflite", "sha256": "0", "blocks": [2], "weights": "dynamic"},
        "data": digest(data.examples),
        "tested": "nemo",
        "corpora": [],
        "utterances": "",
        "systems": {},
        "silence": {},
    }
    (folder / "report.json").write_text(json.dumps(figures))


def test_what_the_gate_lets_through_is_shown_beside_a_report(tmp_path: Path, data: Data) -> None:
    evaluated(tmp_path, data)
    report.put_beside(tmp_path, GATE, data, GATE_RESULT)
    assert row((tmp_path / "report.md").read_text(), "music") == ["1.00", "5", "3", "3.0"]
    gate = report.summary(report.load(tmp_path))["gate"]
    assert gate == {
        "speech_kept": 0.9877,
        "quiet_kept": 0.5,
        "room_kept": 0.5,
        "noise_0_db_kept": 0.5,
        "household_noise_per_hour": 0.5,
        "passed_per_hour": {"household": 0.5, "music": 3.0},
        "threshold": 0.8123,
    }


def test_a_summary_names_conditions_that_there_are() -> None:
    assert set(report.KEPT.values()) <= set(Trials.NAMES)


def test_a_result_is_kept_until_there_is_a_report(tmp_path: Path, data: Data) -> None:
    report.put_beside(tmp_path, ABLATION, data, ABLATION_RESULT)
    evaluated(tmp_path, data)
    found = report.load(tmp_path)
    assert found[ABLATION] == ABLATION_RESULT
    assert GATE not in found
    assert row(markdown(found), "with mixup") == ["48.0 (-2.0 ± 1.0)"] * 3


def test_a_result_of_other_recordings_replaces_none(tmp_path: Path, data: Data) -> None:
    evaluated(tmp_path, data)
    others = Data(replace(data.examples, clips=data.examples.clips[1:]), data.encoder)
    with pytest.raises(report.ReportError, match=r"gate\.json is of other recordings \("):
        report.put_beside(tmp_path, GATE, others, GATE_RESULT)
    assert not (tmp_path / "gate.json").exists()


def test_a_report_beside_a_result_of_other_recordings_is_refused(
    tmp_path: Path, data: Data
) -> None:
    report.put_beside(tmp_path, GATE, data, GATE_RESULT)
    evaluated(tmp_path, Data(replace(data.examples, clips=()), data.encoder))
    with pytest.raises(report.ReportError, match="remove it, or make one of them again"):
        report.load(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_result_beside_a_report_is_refused(
    content: str, tmp_path: Path, data: Data
) -> None:
    evaluated(tmp_path, data)
    (tmp_path / "gate.json").write_text(content)
    with pytest.raises(report.ReportError, match=r"gate\.json is damaged"):
        report.load(tmp_path)


def test_gate_and_ablation_have_pictures(tmp_path: Path) -> None:
    plots.gate(GATE_RESULT, tmp_path / "gate.png")
    plots.ablation(ABLATION_RESULT["changes"], tmp_path / "ablation.png")
    for name in ("gate.png", "ablation.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
