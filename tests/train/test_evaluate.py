from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train import evaluate as module
from affectd.train import scores
from affectd.train.conditions import Trials
from affectd.train.doubt import Calibrated, calibration_sources
from affectd.train.evaluate import evaluate, same_at_any_gain
from affectd.train.examples import Examples, join
from affectd.train.fits import MAIN, SERVED, Answers, Data, Run, heard_keys, held_out
from affectd.train.folds import split
from affectd.train.predictions import FOLDS, Predictions, predict
from affectd.train.scores import MISSED
from tests.train import made

LEFT_OUT = ("without ravdess", "without nemo", "without home")
Judge = Callable[[Examples, NDArray[np.int64]], NDArray[np.float64]]


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    """Draw speakers less often for the intervals, as it is done very often here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "RESAMPLES", 50)
        yield


@pytest.fixture(scope="module")
def data() -> Data:
    plain = made.corpus("plain", [f"plain_{n}" for n in range(8)], (0,))
    away = made.corpus("away", ["away_a", "away_b"], (0, 3, 4), voices=1)
    abroad = made.corpus("abroad", ["abroad_a", "abroad_b", "abroad_c"], (0, 2, 5), voices=1)
    return Data(
        examples=join([made.several(), plain]),
        encoder=made.NO_ENCODER,
        test_only=join([away, abroad]),
        trials=made.corpus("ravdess", made.actors(1, 11), voices=len(Trials.NAMES)),
        plain=plain,
    )


def certain(shift: int = 0, confidence: float = 0.9) -> Judge:
    """Answers that are always right, or always wrong by the same number of emotions."""

    def judge(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        told = np.eye(8)[(examples.emotion[rows] + shift) % 8]
        return np.asarray(told * confidence + (1 - told) * (1 - confidence) / 7)

    return judge


def doubtful(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Answers that are often right, the more so the surer they are."""
    random = np.random.default_rng(len(rows))
    hint = np.eye(8)[examples.emotion[rows]] * random.uniform(0, 2, (len(rows), 1))
    p = random.dirichlet(np.full(8, 0.5), len(rows)) + hint
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def answered(examples: Examples, rows: NDArray[np.int64], judge: Judge) -> Answers:
    p = judge(examples, rows)
    return Answers(rows, {key: p for key, _, _ in heard_keys()})


def run(data: Data, name: str, judge: Judge, seed: int = 0, system: str = "cnn") -> Run:
    """What a fit of a split would give if it answered so."""
    examples = data.examples
    if name == "all":
        assert data.test_only is not None
        rows = np.arange(len(data.test_only.clip))
        return Run(system, name, seed, answered(data.test_only, rows, judge))
    test = answered(examples, split(examples, name).test, judge)
    others = {}
    if name.startswith("fold") and system == "cnn":
        assert data.plain is not None
        assert data.trials is not None
        plain = held_out(data.plain, int(name.removeprefix("fold")))
        tried = np.flatnonzero(np.isin(data.trials.speaker, examples.speaker[test.rows]))
        others = {
            "trials": answered(data.trials, tried, judge),
            "plain": answered(data.plain, plain[data.plain.condition[plain] == 0], judge),
        }
    return Run(system, name, seed, test, others, losses=[2.0, 1.0])


def runs(data: Data, judge: Judge, seeds: int = 1) -> list[Run]:
    names = ("fold 1", *LEFT_OUT, "all")
    return [run(data, name, judge, seed) for seed in range(seeds) for name in names]


@pytest.mark.parametrize(("shift", "uar"), [(0, 1.0), (1, 0.0)])
def test_answers_decide_the_score(shift: int, uar: float, data: Data) -> None:
    (result,) = evaluate(data, [run(data, "fold 1", certain(shift))])
    for figure in ("uar", "accuracy", "macro_f1"):
        value = result.figures[figure]
        value = value[SERVED] if figure == "uar" else value
        assert value["mean"] == uar
        assert value["interval"] == [uar, uar]
    for group, keys in (
        ("per_speaker", {f"ravdess_{actor:02}" for actor in (1, 11, 20, 21)}),
        ("per_gender", {"f", "m"}),
    ):
        assert set(result.figures[group]) == keys
        assert set(result.figures[group].values()) == {uar}
    assert set(result.figures["per_class"].values()) == {uar}
    assert np.trace(np.array(result.figures["confusion"])) == 32 * uar


def test_every_figure_is_given(data: Data) -> None:
    (result,) = evaluate(data, runs(data, doubtful))
    assert set(result.figures) == {
        *("uar", "accuracy", "macro_f1", "per_class", "per_speaker", "per_gender"),
        *("confusion", "left_out", "test_only", "calibration", "doubt"),
        *("plain", "trials", "same_at_any_gain"),
    }
    assert set(result.figures["uar"]) == {key for key, _, _ in heard_keys()}
    for protocol, corpora in (
        ("left_out", {"ravdess", "nemo", "home"}),
        ("test_only", {"away", "abroad"}),
    ):
        figures = result.figures[protocol]
        assert set(figures["corpora"]) == corpora
        assert set(figures["mean"]) == {key for key, _, _ in MAIN}
        for of_corpus in figures["corpora"].values():
            assert {"uar", "chance", "clips", "confusion", "per_class"} <= set(of_corpus)
    honesty = {"ece", "accuracy", "coverage", "set_size", "unknown"}
    honesty |= {"accuracy_if_known", "accuracy_if_known_of_its_emotions"}
    doubt = result.figures["doubt"]
    assert set(doubt) == {"folds", "left_out", "test_only"}
    assert set(doubt["folds"]) == honesty
    assert set(doubt["left_out"]) == honesty | {"ece_pooled", "corpora"}
    assert set(doubt["test_only"]["corpora"]) == {"away", "abroad"}
    assert set(result.figures["trials"]) == set(Trials.NAMES)
    assert set(result.calibrated) == {FOLDS, "ravdess", "nemo", "home", "away", "abroad"}
    assert result.losses == [[2.0, 1.0]]


def test_a_system_without_trials_and_other_corpora_gives_the_rest(data: Data) -> None:
    others = [run(data, "fold 1", doubtful, system="svm")]
    cnn, svm = evaluate(data, [*runs(data, doubtful), *others])
    assert (cnn.system, svm.system) == ("cnn", "svm")
    assert not {"trials", "plain", "left_out", "test_only"} & set(svm.figures)
    assert svm.figures["uar"] == cnn.figures["uar"]


def test_the_mean_of_a_protocol_is_over_corpora_and_its_deviation_over_seeds(data: Data) -> None:
    right = [run(data, name, certain(), seed) for seed in (0, 1) for name in LEFT_OUT[:2]]
    # One emotion up, but for neutral: calm is not among the four of this corpus.
    one_wrong = [run(data, LEFT_OUT[2], certain(seed), seed) for seed in (0, 1)]
    folds = [run(data, "fold 1", certain(), seed) for seed in (0, 1)]
    (result,) = evaluate(data, [*folds, *right, *one_wrong])
    mean = result.figures["left_out"]["mean"][SERVED]
    assert mean["per_seed"] == pytest.approx([1, 3 / 4])
    assert mean["mean"] == pytest.approx(7 / 8)
    assert mean["std"] == pytest.approx(np.std([1, 3 / 4], ddof=1))


def test_chance_is_that_of_the_emotions_that_a_corpus_is_tested_on(data: Data) -> None:
    (result,) = evaluate(data, runs(data, doubtful))
    corpora = result.figures["left_out"]["corpora"]
    assert corpora["home"]["chance"] == 1 / 4
    assert corpora["ravdess"]["chance"] == 1 / 6  # the others teach six of its eight
    assert corpora["home"]["clips"] == 16
    assert result.figures["test_only"]["corpora"]["away"]["chance"] == 1 / 3


def told(data: Data, name: str, judge: Judge) -> Predictions:
    return predict(data.examples, [run(data, name, judge)], SERVED)


def test_every_clip_of_the_unseen_actors_is_scored_once(data: Data) -> None:
    clips = data.examples.clips
    wanted = {"ravdess_01", "ravdess_11", "ravdess_20", "ravdess_21"}
    asked = [i for i, c in enumerate(clips) if c.corpus == "ravdess" and c.speaker in wanted]
    assert told(data, "fold 1", certain()).clip.tolist() == asked


def test_emotions_that_a_corpus_lacks_are_not_told_of_it(data: Data) -> None:
    def surprised(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        p = np.array([0.1, 0.0, 0.05, 0.05, 0.0, 0.0, 0.0, 0.8])
        return np.tile(p, (len(rows), 1))

    assert set(told(data, "without home", surprised).predicted) == {0}  # the likeliest of its four
    assert set(told(data, "without nemo", surprised).predicted) == {7}


def test_a_clip_is_taken_for_the_mean_logarithm_of_its_utterances(data: Data) -> None:
    home = made.corpus("home", ["home_a"], (0, 2), voices=1)
    twice = replace(home, clip=np.zeros(2, np.int64))  # two utterances of the first clip
    p = np.full((2, 8), 0.01)
    p[0, [0, 2]], p[1, [0, 2]] = (0.6, 0.3), (0.05, 0.9)
    given = Run("cnn", "fold 1", 0, Answers(np.arange(2), {SERVED: p}))
    labelled = replace(twice, clips=(home.clips[0], replace(home.clips[1], emotion=0)))
    assert predict(labelled, [given], SERVED).predicted.tolist() == [0, MISSED]
    both = np.array([[0.6, 0.3], [0.05, 0.9]]).prod(axis=0)
    assert both.argmax() == 1  # where both emotions are possible, the second is likelier


def test_a_clip_without_an_utterance_counts_as_wrong(data: Data) -> None:
    examples = join([made.ravdess(clips=2), made.corpus("nemo", ["nemo_a"])])
    of = replace(data, examples=examples)
    whole = run(of, "fold 1", certain())
    missing = examples.clip[whole.test.rows[0]]
    heard = examples.clip[whole.test.rows] != missing
    fewer = Answers(
        whole.test.rows[heard], {key: p[heard] for key, p in whole.test.by_heard.items()}
    )
    predicted = predict(examples, [replace(whole, test=fewer)], SERVED)
    assert predicted.predicted[predicted.clip == missing].tolist() == [MISSED]


def halves(data: Data, judge: Judge) -> dict[str, Any]:
    (result,) = evaluate(data, [run(data, "fold 1", judge), run(data, "without nemo", judge)])
    figures: dict[str, Any] = result.figures["left_out"]["corpora"]["nemo"]
    return figures


def test_arousal_and_valence_are_scored_where_emotions_are_confused(data: Data) -> None:
    right = halves(data, certain())
    assert (right["arousal"], right["valence"]) == (1.0, 1.0)

    def confused(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Angry for fearful and happy for surprised, and the other way round."""
        swapped = np.array([0, 1, 7, 3, 5, 4, 6, 2])[examples.emotion[rows]]
        return np.asarray(np.eye(8)[swapped] * 0.9 + 0.0125)

    wrong = halves(data, confused)
    assert wrong["uar"][SERVED]["mean"] < 0.5
    assert (wrong["arousal"], wrong["valence"]) == (1.0, 1.0)


def test_a_corpus_without_two_halves_of_valence_is_not_scored_in_it(data: Data) -> None:
    (result,) = evaluate(data, runs(data, certain()))
    away = result.figures["test_only"]["corpora"]["away"]  # neutral, sad, angry
    assert "valence" not in away
    assert away["arousal"] == 1.0


def test_figures_of_doubt_are_what_the_answers_say(data: Data) -> None:
    (result,) = evaluate(data, runs(data, certain(confidence=0.99)))
    folds = result.figures["doubt"]["folds"]
    assert folds["accuracy"] == folds["coverage"] == folds["accuracy_if_known"] == 1
    assert folds["set_size"] == 1
    assert folds["ece"] < 0.05
    (result,) = evaluate(data, runs(data, doubtful))
    for one in (result.figures["doubt"]["folds"], result.figures["doubt"]["left_out"]):
        assert 0 < one["unknown"] < 1
        assert one["accuracy"] < one["accuracy_if_known"] <= 1
        assert one["accuracy_if_known"] <= one["accuracy_if_known_of_its_emotions"] <= 1
        assert 1 < one["set_size"] < 8


def test_plain_speech_is_counted_where_it_is_read_as_an_emotion(data: Data) -> None:
    (calm,) = evaluate(data, runs(data, certain()))
    (angry,) = evaluate(data, runs(data, certain(4)))
    assert calm.figures["plain"]["emotional_share"] == 0
    assert angry.figures["plain"]["emotional_share"] == 1
    assert calm.figures["plain"]["utterances"] == len(
        run(data, "fold 1", certain()).others["plain"].rows
    )


def test_trials_are_scored_by_their_condition(data: Data) -> None:
    assert data.trials is not None

    def in_a_room_wrong(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        wrong = examples.condition[rows] == Trials.NAMES.index("in a room")
        return np.where(wrong[:, None], certain(1)(examples, rows), certain()(examples, rows))

    (result,) = evaluate(data, [run(data, "fold 1", in_a_room_wrong)])
    uars = {name: of["uar"] for name, of in result.figures["trials"].items()}
    assert uars.pop("in a room") == 0
    assert set(uars.values()) == {1.0}
    assert result.figures["same_at_any_gain"] == 1


def test_clips_that_change_with_the_gain_are_counted(data: Data) -> None:
    assert data.trials is not None

    def quiet_wrong(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        wrong = (examples.condition[rows] == Trials.GAINS[1]) & (examples.emotion[rows] == 4)
        return np.where(wrong[:, None], certain(1)(examples, rows), certain()(examples, rows))

    share = same_at_any_gain(data.trials, [run(data, "fold 1", quiet_wrong)])
    assert share == pytest.approx(7 / 8)


# Calibration: on corpora that were left out, none of which has a say in its own.


def test_corpora_that_were_left_out_calibrate(data: Data) -> None:
    sources = calibration_sources(data.examples, runs(data, doubtful, seeds=2))
    assert set(sources) == set(LEFT_OUT)
    truth, p = sources["without home"]
    assert len(truth) == len(p) == 2 * 16


def test_folds_calibrate_where_no_corpus_was_left_out(data: Data) -> None:
    given = [run(data, "fold 1", doubtful), run(data, "fold 2", doubtful)]
    assert set(calibration_sources(data.examples, given)) == {"fold 1", "fold 2"}


def nonsense(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return certain(3, 0.999)(examples, rows)


@cache
def calibrated(data: Data, changed: tuple[str, ...], seeds: int = 2) -> dict[str, Calibrated]:
    """Calibrated utterances where some splits answered nonsense with their second seed."""
    given = [
        run(data, one.split, nonsense, one.seed) if one.split in changed and one.seed else one
        for one in runs(data, doubtful, seeds)
    ]
    (result,) = evaluate(data, given)
    return result.calibrated


def same_first_seed(one: Calibrated, two: Calibrated) -> bool:
    half = len(one.p) // 2
    return all(
        np.array_equal(getattr(one, name)[:half], getattr(two, name)[:half])
        for name in ("p", "sets", "is_known")
    )


@pytest.mark.parametrize(
    ("split_of", "corpus"),
    [
        ("without ravdess", "ravdess"),
        ("without ravdess", FOLDS),
        ("without nemo", "nemo"),
        ("without home", "home"),
        ("fold 1", FOLDS),
        ("all", "away"),
        ("all", "abroad"),
    ],
)
def test_what_is_tested_has_no_say_in_its_own_calibration(
    split_of: str, corpus: str, data: Data
) -> None:
    one, two = calibrated(data, ()), calibrated(data, (split_of,))
    assert same_first_seed(one[corpus], two[corpus])


@pytest.mark.parametrize("corpus", [FOLDS, "away", "home"])
def test_corpora_that_were_left_out_have_a_say_in_the_calibration_of_others(
    corpus: str, data: Data
) -> None:
    one, two = calibrated(data, ()), calibrated(data, ("without nemo",))
    assert not same_first_seed(one[corpus], two[corpus])


@pytest.mark.parametrize("corpus", ["nemo", FOLDS])
def test_a_planted_leak_into_the_calibration_is_found(
    corpus: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(*args: Any) -> dict[str, Any]:
        return {f"{name} ": one for name, one in calibration_sources(*args).items()}

    monkeypatch.setattr(module, "calibration_sources", leaking)
    splits = (), ("without nemo", "without ravdess")
    one, two = (calibrated.__wrapped__(data, changed)[corpus] for changed in splits)
    assert not same_first_seed(one, two)


def test_what_only_tests_does_not_change_what_is_shipped(data: Data) -> None:
    shipped = [
        evaluate(data, [*runs(data, doubtful)[:-1], run(data, "all", judge)])[0]
        for judge in (doubtful, nonsense)
    ]
    assert shipped[0].figures["calibration"] == shipped[1].figures["calibration"]
