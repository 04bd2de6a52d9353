from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train.conditions import Trials
from affectd.train.examples import Examples, Statistics, join, statistics
from affectd.train.fits import (
    MAIN,
    SERVED,
    Data,
    Run,
    answers,
    dealt,
    fit_one,
    heard_keys,
    held_out,
)
from affectd.train.folds import split
from affectd.train.networks import NETWORKS, mlp
from tests.train import made

KEYS = [key for key, _, _ in heard_keys()]


def test_systems_are_asked_with_nothing_heard_and_with_ever_more() -> None:
    assert KEYS == [
        "heard_0",
        "heard_1",
        "heard_1_neutral",
        "heard_5",
        "heard_5_neutral",
        "heard_20",
        "heard_20_neutral",
        "heard_60",
        "heard_60_neutral",
    ]
    assert [key for key, _, _ in MAIN] == ["heard_0", "heard_20", "heard_20_neutral"]


def test_every_sound_is_tested_by_one_fold_with_all_of_its_source() -> None:
    sounds = made.corpus("sounds", [f"sounds_{n}" for n in range(13)], (0,), clips=3)
    rows = np.concatenate([held_out(sounds, fold) for fold in range(1, 7)])
    assert sorted(rows) == list(range(len(sounds.clip)))
    for source in np.unique(sounds.speaker):
        of_source = [clip.speaker == source for clip in sounds.clips]
        assert len(set(dealt(sounds)[of_source])) == 1


def test_a_sound_that_is_only_learnt_is_tested_by_none() -> None:
    sounds = made.corpus("sounds", [f"sounds_{n}" for n in range(6)], (0,))
    only_learnt = made.relabelled(sounds, is_tested=False)
    assert set(dealt(only_learnt)) == {-1}


@pytest.fixture(scope="module")
def data() -> Data:
    plain = made.corpus("plain", [f"plain_{n}" for n in range(8)], (0,))
    return Data(
        examples=join([made.several(), plain]),
        encoder=made.NO_ENCODER,
        test_only=made.corpus("away", ["away_a"], (0, 3, 4), voices=1),
        trials=made.corpus("ravdess", made.actors(1, 2, 4, 11), voices=len(Trials.NAMES)),
        plain=plain,
    )


@pytest.fixture(scope="module")
def fold(data: Data) -> Run:
    return fit_one(data, "cnn", "fold 1", 0, made.TINY)


def test_a_fold_is_asked_about_its_test_speakers_by_all_that_was_heard(
    data: Data, fold: Run
) -> None:
    assert fold.test.rows.tolist() == split(data.examples, "fold 1").test.tolist()
    assert list(fold.test.by_heard) == KEYS
    for p in fold.test.by_heard.values():
        assert p.shape == (len(fold.test.rows), 8)
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_a_fold_is_asked_about_the_trials_of_its_test_speakers(data: Data, fold: Run) -> None:
    assert data.trials is not None
    tried = fold.others["trials"]
    assert set(data.trials.speaker[tried.rows]) == {"ravdess_01", "ravdess_11"}
    assert set(data.trials.condition[tried.rows]) == set(range(len(Trials.NAMES)))


def test_a_fold_is_asked_about_plain_speech_as_recorded_that_it_tests(
    data: Data, fold: Run
) -> None:
    assert data.plain is not None
    plain = fold.others["plain"]
    assert set(plain.rows) <= set(held_out(data.plain, 1))
    assert plain.rows.size
    assert not data.plain.condition[plain.rows].any()


def test_a_fit_is_kept_with_all_that_builds_it_again(fold: Run) -> None:
    assert fold.fitted is not None
    assert fold.fitted.recipe == made.TINY
    assert fold.fitted.prior.mean.shape == (made.WIDTH,)
    assert len(fold.losses) == 1
    assert fold.took_s > 0


def test_what_learns_from_everything_is_asked_about_what_nothing_is_learnt_from(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "cnn", mlp)  # is compiled sooner
    assert data.test_only is not None
    run = fit_one(data, "cnn", "all", 0, made.TINY)
    assert run.test.rows.tolist() == list(range(len(data.test_only.clip)))
    assert set(run.test.by_heard) == {key for key, _, _ in MAIN}
    asked_nothing = fit_one(replace(data, test_only=None), "cnn", "all", 0, made.TINY)
    assert asked_nothing.test.rows.size == 0
    assert asked_nothing.fitted is not None


@pytest.mark.parametrize("system", ["svm", "mlp", "mfcc cnn"])
def test_a_baseline_reads_spectra_and_is_asked_about_the_fold_alone(
    system: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "cnn", mlp)
    other_frames = replace(data.examples, frames=np.zeros_like(data.examples.frames))
    run, again = (
        fit_one(of, system, "fold 1", 0, made.TINY)
        for of in (data, replace(data, examples=other_frames))
    )
    np.testing.assert_array_equal(run.test.by_heard[SERVED], again.test.by_heard[SERVED])
    assert run.others == {}
    assert run.fitted is None


class Linear:
    """A system whose answers depend on the mean of an utterance's normalised frames."""

    def __init__(self, prior: Statistics) -> None:
        self.prior = prior

    def predict(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        p = np.exp(normalised.mean(axis=1)[:, :8])
        return np.asarray(p / p.sum(axis=1, keepdims=True))


def asked(examples: Examples, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    prior = statistics(made.ravdess(), np.arange(10))
    return answers(Linear(prior), examples, rows, tuple(heard_keys()), seed=0).by_heard


def test_what_was_heard_before_is_among_the_rows_that_are_asked_about() -> None:
    examples = made.corpus("home", ["home_a", "home_b"], clips=4)
    rows = np.flatnonzero((examples.condition == 0) & (examples.speaker == "home_a"))
    others = ~np.isin(np.arange(len(examples.clip)), rows)
    one, two = asked(examples, rows), asked(made.spoilt(examples, others), rows)
    for key in KEYS:
        np.testing.assert_array_equal(one[key], two[key])
    assert (one["heard_0"] != one["heard_60"]).any()


def test_many_rows_are_answered_as_each_alone_is() -> None:
    examples = made.corpus("home", ["home_a"], clips=70, voices=1)
    rows = np.arange(len(examples.clip))
    assert len(rows) > 512
    together = asked(examples, rows)["heard_0"]
    assert len(together) == len(rows)
    for row in (0, 255, 256, 511, 512, 559):
        alone = asked(examples, rows[row : row + 1])["heard_0"][0]
        np.testing.assert_allclose(together[row], alone, rtol=1e-5)
