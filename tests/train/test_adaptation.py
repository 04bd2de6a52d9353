from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion import voice
from affectd.train.adaptation import HEARD, QUIET, Adaptation, Before
from affectd.train.examples import Examples, Statistics, statistics
from tests.train import made


def adapted(
    examples: Examples, rows: NDArray[np.int64], count: int, prior: Statistics
) -> NDArray[np.float32]:
    n = len(rows)
    random = np.random.default_rng(0)
    return Adaptation(examples, rows, prior).normalised(
        rows, np.full(n, count), np.full(n, Before.ANY), random
    )


def test_nothing_heard_normalises_by_the_training_statistics(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    count = examples.count[rows[0]]
    expected = (examples.frames[rows[0], :count] - prior.mean) / prior.std
    actual = adapted(examples, rows, 0, prior)[0]
    np.testing.assert_allclose(actual[:count], expected, atol=1e-4)
    assert not actual[count:].any()


def test_another_microphone_is_forgotten_after_twenty_utterances(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    shifted = replace(examples, frames=examples.frames + np.float16(2) * prior.std.astype("f2"))
    shift = {
        count: np.abs(
            adapted(shifted, rows, count, prior) - adapted(examples, rows, count, prior)
        ).mean()
        for count in (0, 20)
    }
    assert shift[20] < 0.25 * shift[0]


def test_how_an_utterance_differs_from_its_voice_is_kept(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    x = adapted(examples, rows, 60, statistics(examples, rows))[:, :20]
    angry, calm = (x[examples.emotion[rows] == emotion].mean(axis=(0, 1)) for emotion in (4, 1))
    assert np.abs(angry - calm).max() > 0.5


def test_an_utterance_is_normalised_beside_what_the_voice_has_said() -> None:
    examples = made.corpus("home", ["home_a"], clips=3)
    rows = np.flatnonzero(examples.condition == 0)
    one_voice = replace(
        examples,
        frames=np.repeat(examples.frames[:1], len(examples.clip), axis=0),
        count=np.repeat(examples.count[:1], len(examples.clip)),
    )
    prior = statistics(made.ravdess(), rows)
    actual = adapted(one_voice, rows, 5, prior)[3]
    frames = int(one_voice.count[0])
    sums = (5 * total[0].astype(float) for total in one_voice.sums)
    mean, std = voice.statistics(prior.mean, prior.std, np.array(5.0 * frames), *sums)
    expected = (one_voice.frames[0, :frames].astype(float) - mean) / std
    np.testing.assert_allclose(actual[:frames], expected, atol=1e-3)
    assert not actual[frames:].any()


@pytest.fixture(scope="module")
def household() -> Examples:
    """Two people, in two voices each, who said 90 things; some of them calm, none surprised."""
    return made.corpus("home", ["home_a", "home_b"], (0, 1, 2, 3, 4, 6), clips=15)


def drawn(
    examples: Examples, row: int, count: int, before: Before, rows: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    rows = np.arange(len(examples.clip)) if rows is None else rows
    adaptation = Adaptation(examples, rows, statistics(examples, rows))
    return adaptation._drawn(row, count, before, np.random.default_rng(row))


@pytest.mark.parametrize("before", Before)
@pytest.mark.parametrize("count", HEARD)
def test_what_was_heard_before_is_of_the_same_voice_and_of_other_clips(
    count: int, before: Before, household: Examples
) -> None:
    for row in range(0, len(household.clip), 17):
        heard = drawn(household, row, count, before)
        assert len(set(heard)) == len(heard) <= count
        assert household.clip[row] not in household.clip[heard]
        assert set(household.speaker[heard]) <= {household.speaker[row]}
        assert set(household.condition[heard]) <= {household.condition[row]}


@pytest.mark.parametrize("count", HEARD)
def test_as_many_utterances_are_heard_as_are_asked_for(count: int, household: Examples) -> None:
    assert len(drawn(household, 40, count, Before.ANY)) == count


def test_a_voice_that_has_said_less_is_heard_in_all_of_it(household: Examples) -> None:
    assert len(drawn(household, 40, 1_000, Before.ANY)) == 6 * 15 - 1


def test_a_quiet_household_has_been_neutral_and_calm_alone(household: Examples) -> None:
    heard = drawn(household, 150, 20, Before.QUIET)
    assert len(heard) == 20
    assert set(household.emotion[heard]) == set(QUIET)


def test_of_a_voice_that_is_never_quiet_anything_is_heard(household: Examples) -> None:
    loud = np.flatnonzero(~np.isin(household.emotion, QUIET))
    heard = drawn(household, int(loud[0]), 20, Before.QUIET, loud)
    assert len(heard) == 20


def test_a_voice_of_one_emotion_has_said_nothing_else(household: Examples) -> None:
    angry = int(np.flatnonzero(household.emotion == 4)[0])
    heard = drawn(household, angry, 5, Before.ALIKE)
    assert len(heard) == 5
    assert set(household.emotion[heard]) == {4}


def test_a_voice_with_a_single_clip_of_an_emotion_is_heard_in_others() -> None:
    single = made.corpus("home", ["home_a"], (0, 4, 5))
    heard = drawn(single, 0, 5, Before.ALIKE)
    assert set(single.emotion[heard]) == {4, 5}


def test_a_voice_with_a_single_clip_is_heard_in_the_rest_of_it_or_not_at_all() -> None:
    one = made.corpus("home", ["home_a"], (0,), voices=1)
    assert drawn(one, 0, 5, Before.ANY).size == 0
    two = replace(made.corpus("home", ["home_a"], (0,)), condition=np.zeros(2, np.int64))
    assert drawn(two, 0, 5, Before.ANY).tolist() == [1]


def test_nothing_is_heard_but_the_rows_that_are_given(household: Examples) -> None:
    given = np.flatnonzero(np.arange(len(household.clip)) % 4 < 2)
    for row in given[::11]:
        assert set(drawn(household, int(row), 60, Before.ANY, given)) <= set(given)


def test_the_rows_come_back_in_the_order_in_which_they_are_asked_for(household: Examples) -> None:
    rows = np.arange(len(household.clip))
    prior = statistics(household, rows)
    np.testing.assert_array_equal(
        adapted(household, rows, 0, prior)[::-1], adapted(household, rows[::-1], 0, prior)
    )
