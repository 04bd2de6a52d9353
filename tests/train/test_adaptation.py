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


def test_an_utterance_is_normalised_beside_what_the_voice_has_said(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    prior = statistics(examples, rows)
    frames = int(examples.frames[0])
    one_voice = replace(
        examples,
        features=np.repeat(examples.features[:1], len(examples.clip), axis=0),
        frames=np.full_like(examples.frames, frames),
    )
    adaptation = Adaptation(one_voice, rows, prior)
    three, not_quiet = np.array([3]), np.array([False])
    heard = adaptation.normalised(rows[5:6], three, not_quiet, np.random.default_rng(0))
    sums = (3 * total[0] for total in one_voice.sums)
    mean, std = voice.statistics(prior.mean, prior.std, np.array(3.0 * frames), *sums)
    expected = (one_voice.features[0, :frames] - mean) / std
    np.testing.assert_allclose(heard[0, :frames], expected, atol=1e-3)
    assert not heard[0, frames:].any()
