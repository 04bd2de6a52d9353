import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import soften
from affectd.train.scores import (
    COVERAGE,
    MISSED,
    REJECTED,
    bootstrap,
    calibrate,
    calibration_error,
    confusion,
    prediction_sets,
    risk_coverage,
    score,
)


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
    found = calibrate([(truth, soften(p, 1 / temperature))]).temperature
    assert found == pytest.approx(temperature, rel=0.1)


def test_prediction_sets_hold_the_truth_at_the_stated_coverage() -> None:
    p, truth = random_probabilities(8000, 0.3)
    half = len(truth) // 2
    calibration = calibrate([(truth[:half], p[:half])])
    unseen = soften(p[half:], calibration.temperature)
    covered = prediction_sets(unseen, calibration)[np.arange(half), truth[half:]]
    assert calibration.coverage == COVERAGE
    assert covered.mean() == pytest.approx(calibration.coverage, abs=0.02)


def test_the_threshold_rejects_the_stated_share() -> None:
    p, truth = random_probabilities(2000, 0.3)
    calibration = calibrate([(truth, p)])
    rejected = soften(p, calibration.temperature).max(axis=1) < calibration.threshold
    assert rejected.mean() == pytest.approx(REJECTED, abs=0.01)


Source = tuple[NDArray[np.int64], NDArray[np.float64]]


@pytest.fixture
def sure_and_unsure() -> tuple[Source, Source]:
    """A small corpus whose probabilities are far too sure, and a large one whose are not."""
    p, truth = random_probabilities(6000, 0.3)
    return (truth[:500], soften(p[:500], 1 / 3)), (truth[500:], p[500:])


def repeated(source: Source, times: int) -> Source:
    return np.tile(source[0], times), np.tile(source[1], (times, 1))


def test_every_corpus_weighs_the_same_in_the_calibration(
    sure_and_unsure: tuple[Source, Source],
) -> None:
    small, large = sure_and_unsure
    one, two = calibrate([small, large]), calibrate([repeated(small, 7), large])
    assert one.temperature == pytest.approx(two.temperature, rel=1e-3)
    assert one.threshold == pytest.approx(two.threshold, rel=1e-2)
    assert one.conformal == pytest.approx(two.conformal, rel=1e-2)
    pooled = calibrate([tuple(map(np.concatenate, zip(small, large, strict=True)))])  # type: ignore[list-item]
    assert one.temperature > 1.2 * pooled.temperature


def test_coverage_and_rejections_are_means_over_the_corpora(
    sure_and_unsure: tuple[Source, Source],
) -> None:
    calibration = calibrate(sure_and_unsure)
    covered, rejected = [], []
    for truth, p in sure_and_unsure:
        calibrated = soften(p, calibration.temperature)
        of_truth = calibrated[np.arange(len(truth)), truth]
        covered.append((of_truth >= calibration.conformal).mean())
        rejected.append((calibrated.max(axis=1) < calibration.threshold).mean())
    assert covered[0] < COVERAGE < covered[1]
    assert np.mean(covered) == pytest.approx(COVERAGE, abs=0.005)
    assert np.mean(rejected) == pytest.approx(REJECTED, abs=0.005)


def test_the_order_of_the_corpora_does_not_matter(sure_and_unsure: tuple[Source, Source]) -> None:
    one, two = calibrate(sure_and_unsure), calibrate(sure_and_unsure[::-1])
    assert one.temperature == pytest.approx(two.temperature, rel=1e-3)
    assert one.conformal == pytest.approx(two.conformal, rel=1e-2)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=50))
def test_perfect_predictions_score_one(labels: list[int]) -> None:
    truth = np.array(labels)
    scores = score(truth, truth)
    assert scores.uar == scores.accuracy == scores.macro_f1 == 1


def test_probabilities_that_are_right_about_themselves_have_no_calibration_error() -> None:
    p, truth = random_probabilities(20_000, 0.3)
    assert calibration_error(truth, p) < 0.02
    assert calibration_error(truth, soften(p, 0.3)) > 0.1


def test_the_calibration_error_may_weigh_corpora_alike() -> None:
    p, truth = random_probabilities(6000, 0.3)
    sharp = np.concatenate([soften(p[:500], 0.3), p[500:]])
    weight = np.repeat([1 / 500, 1 / 5500], [500, 5500])
    alone = [calibration_error(truth[:500], sharp[:500]), calibration_error(truth, sharp)]
    assert alone[1] < calibration_error(truth, sharp, weight) < alone[0]
    assert calibration_error(truth, sharp, np.ones(6000)) == pytest.approx(alone[1])


def test_the_surest_readings_are_wrong_less_often() -> None:
    p, truth = random_probabilities(4000, 0.3)
    answered, risk = risk_coverage(truth, p)
    assert answered[-1] == 1
    assert risk[len(risk) // 4] < risk[-1]


def test_the_likeliest_emotion_is_in_every_prediction_set() -> None:
    p, truth = random_probabilities(500, 0.3)
    sets = prediction_sets(p, calibrate([(truth, p)]))
    assert sets[np.arange(len(p)), p.argmax(axis=1)].all()


def test_the_bootstrap_interval_is_wider_when_speakers_differ() -> None:
    truth = np.tile(np.arange(8), 24)
    speaker = np.repeat([f"s{number:02}" for number in range(24)], 8)
    alike = np.where(np.arange(192) % 2 == 0, truth, (truth + 1) % 8)
    odd = np.repeat(np.arange(24) % 2 == 0, 8)
    differing = np.where(odd, truth, (truth + 1) % 8)
    spans = [np.diff(bootstrap(truth, p, speaker)["uar"])[0] for p in (alike, differing)]
    assert spans[0] == pytest.approx(0, abs=1e-9)
    assert spans[1] > 0.2


def test_the_confusion_counts_missed_clips_apart() -> None:
    counts = confusion(np.array([0, 0, 1]), np.array([0, 1, MISSED]))
    assert counts.shape == (8, 9)
    assert counts[0, :2].tolist() == [1, 1]
    assert counts[1, 8] == 1


def test_a_bootstrap_of_alike_speakers_agrees_with_the_scores() -> None:
    truth = np.tile(np.repeat(np.arange(8), 2), 10)
    predicted = np.where(np.arange(160) % 4 == 0, (truth + 1) % 8, truth)
    speaker = np.repeat([f"s{number}" for number in range(10)], 16)
    scores = score(truth, predicted)
    for name, (low, high) in bootstrap(truth, predicted, speaker).items():
        assert low == pytest.approx(getattr(scores, name))
        assert high == pytest.approx(getattr(scores, name))


def test_an_emotion_that_the_drawn_speakers_lack_does_not_count_against_them() -> None:
    truth = np.array([0, 0, 1, 1, 0, 0])
    speaker = np.array(["a", "a", "b", "b", "c", "c"])
    assert bootstrap(truth, truth, speaker)["uar"] == (1, 1)
    assert bootstrap(truth, truth, speaker)["macro_f1"] == (1, 1)
