import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import soften
from affectd.train.scores import MISSED, calibrate, score


def test_uar_weighs_every_emotion_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    scores = score(truth, np.zeros(100, int))
    assert (scores.uar, scores.accuracy) == (0.5, 0.9)


def test_a_missed_clip_counts_as_wrong() -> None:
    truth = np.array([0, 0, 1, 1])
    assert score(truth, np.array([0, MISSED, 1, 1])).uar == 0.75


def random_probabilities(n: int, sharpness: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities that are right about themselves, and labels drawn from them."""
    random = np.random.default_rng(0)
    p = random.dirichlet(np.full(8, sharpness), n)
    truth = (p.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return p, truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_spoilt_probabilities_is_found(temperature: float) -> None:
    p, truth = random_probabilities(4000, 0.3)
    found = calibrate(truth, soften(p, 1 / temperature)).temperature
    assert found == pytest.approx(temperature, rel=0.1)


def test_prediction_sets_hold_the_truth_at_the_stated_coverage() -> None:
    p, truth = random_probabilities(8000, 0.3)
    half = len(truth) // 2
    calibration = calibrate(truth[:half], p[:half])
    unseen = soften(p[half:], calibration.temperature)
    covered = unseen[np.arange(half), truth[half:]] >= calibration.conformal
    assert covered.mean() == pytest.approx(calibration.coverage, abs=0.02)


def test_the_threshold_rejects_a_tenth() -> None:
    p, truth = random_probabilities(2000, 0.3)
    calibration = calibrate(truth, p)
    rejected = soften(p, calibration.temperature).max(axis=1) < calibration.threshold
    assert rejected.mean() == pytest.approx(0.1, abs=0.01)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=50))
def test_perfect_predictions_score_one(labels: list[int]) -> None:
    truth = np.array(labels)
    scores = score(truth, truth)
    assert scores.uar == scores.accuracy == scores.macro_f1 == 1
