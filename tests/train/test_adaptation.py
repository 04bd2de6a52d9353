from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion import voice
from affectd.train.adaptation import QUIET, Adaptation
from affectd.train.examples import Examples, Statistics, statistics


def adapted(
    examples: Examples, rows: NDArray[np.int64], count: int, prior: Statistics
) -> NDArray[np.float32]:
    n = len(rows)
    random = np.random.default_rng(0)
    return Adaptation(examples, rows, prior).normalised(
        rows, np.full(n, count), np.zeros(n, bool), random
    )


def test_nothing_heard_normalises_by_the_training_statistics(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    frames = examples.frames[rows[0]]
    expected = (examples.features[rows[0], :frames] - prior.mean) / prior.std
    actual = adapted(examples, rows, 0, prior)[0]
    np.testing.assert_allclose(actual[:frames], expected, atol=1e-4)
    assert not actual[frames:].any()


def test_a_louder_microphone_is_forgotten_after_twenty_utterances(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    louder = examples.features.copy()
    louder[:, :, 0] += 20 * np.sqrt(64)
    loud = replace(examples, features=louder)
    shift = {
        count: (adapted(loud, rows, count, prior) - adapted(examples, rows, count, prior))[
            :, :100, 0
        ]
        for count in (0, 20)
    }
    assert np.abs(shift[20]).mean() < 0.2 * np.abs(shift[0]).mean()


def test_how_loud_an_utterance_is_beside_its_voice_is_kept(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    angry, calm = (
        adapted(examples, rows, 60, prior)[examples.emotion[rows] == emotion][:, :100, 0].mean()
        for emotion in (4, 1)
    )
    assert angry > calm + 0.5


def test_an_utterance_is_not_among_those_heard_before(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    adaptation = Adaptation(examples, rows, statistics(examples, rows))
    for row in rows[:40]:
        before = adaptation._drawn(int(row), 60, False, np.random.default_rng(0))
        assert examples.clip[row] not in examples.clip[before]
        assert set(examples.speaker[before]) == {examples.speaker[row]}
        assert set(examples.condition[before]) == {0}


def test_a_quiet_household_is_heard_neutral_and_calm_alone(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    adaptation = Adaptation(examples, rows, statistics(examples, rows))
    before = adaptation._drawn(int(rows[0]), 20, True, np.random.default_rng(0))
    assert 5 < len(before) <= 12
    assert set(examples.emotion[before]) <= set(QUIET)


def test_noise_is_heard_beside_a_voice_that_has_spoken(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    one = rows[examples.speaker[rows] == "ravdess_01"][:20]
    heard = Adaptation(examples, one, prior).beside(
        examples, rows[-3:], 20, np.random.default_rng(0)
    )
    before = [examples.sums[0][one].sum(axis=0), examples.sums[1][one].sum(axis=0)]
    mean, std = voice.statistics(prior.mean, prior.std, examples.frames[one].sum(), *before)
    frames = examples.frames[rows[-1]]
    expected = (examples.features[rows[-1], :frames] - mean) / std
    np.testing.assert_allclose(heard[-1, :frames], expected, atol=1e-3)
