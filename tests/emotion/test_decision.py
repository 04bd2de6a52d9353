import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Calibration, combine, decide, soften
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN

PLAIN = Calibration(temperature=1.0, threshold=0.5, conformal=0.2, coverage=0.9)
distributions = st.lists(st.floats(1e-6, 1), min_size=8, max_size=8).map(
    lambda values: np.array(values) / np.sum(values)
)


def one_hot(emotion: str, p: float) -> NDArray[np.float64]:
    probabilities = np.full(8, (1 - p) / 7)
    probabilities[EMOTIONS.index(emotion)] = p
    return probabilities


@given(distributions)
def test_one_network_alone_says_what_it_says(p: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(combine([p]), p, atol=1e-12)


@given(distributions, distributions)
def test_networks_are_joined_by_their_mean_log_probability(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> None:
    geometric = np.sqrt(a * b)
    np.testing.assert_allclose(combine([a, b]), geometric / geometric.sum(), atol=1e-12)


@given(distributions, st.floats(0.2, 5))
def test_temperature_keeps_the_order_and_the_sum(p: NDArray[np.float64], t: float) -> None:
    softened = soften(p, t)
    assert softened.sum() == pytest.approx(1)
    assert softened[p.argmax()] == pytest.approx(softened.max())


def test_a_high_temperature_makes_less_sure() -> None:
    assert soften(one_hot("sad", 0.9), 2.0).max() < 0.9


def test_a_certainty_of_zero_is_no_error() -> None:
    assert np.isfinite(combine([np.eye(8)[0], np.eye(8)[1]])).all()


def test_a_confident_reading_is_its_most_likely_emotion() -> None:
    reading = decide(one_hot("angry", 0.8), PLAIN)
    assert reading.emotion == "angry"
    assert reading.confidence == pytest.approx(0.8)


def test_a_reading_below_the_threshold_is_unknown() -> None:
    assert decide(one_hot("angry", 0.4), PLAIN).emotion == UNKNOWN


def test_what_is_probably_no_speech_is_unknown_however_sure_the_emotion() -> None:
    reading = decide(one_hot("angry", 0.99), PLAIN, speech_probability=0.4, speech_threshold=0.5)
    assert (reading.emotion, reading.is_speech) == (UNKNOWN, False)
    assert reading.confidence == pytest.approx(0.99)


def test_speech_as_probable_as_the_threshold_passes_the_gate() -> None:
    reading = decide(one_hot("angry", 0.99), PLAIN, speech_probability=0.5, speech_threshold=0.5)
    assert (reading.emotion, reading.is_speech, reading.speech_probability) == ("angry", True, 0.5)


def test_an_unsure_reading_of_speech_is_unknown_but_speech() -> None:
    reading = decide(one_hot("angry", 0.4), PLAIN)
    assert (reading.emotion, reading.is_speech) == (UNKNOWN, True)


def test_the_prediction_set_holds_what_cannot_be_ruled_out() -> None:
    p = np.array([0.0, 0.25, 0.0, 0.45, 0.0, 0.3, 0.0, 0.0])
    assert decide(p, PLAIN).prediction_set == ("calm", "sad", "fearful")


def test_the_prediction_set_is_never_empty() -> None:
    assert decide(one_hot("happy", 0.15), PLAIN).prediction_set == ("happy",)


@given(distributions)
def test_valence_and_arousal_stay_on_the_circumplex(p: NDArray[np.float64]) -> None:
    reading = decide(p, PLAIN)
    assert -1 <= reading.valence <= 1
    assert -1 <= reading.arousal <= 1


def test_anger_is_unpleasant_and_excited_calm_is_neither() -> None:
    angry, calm = decide(one_hot("angry", 0.99), PLAIN), decide(one_hot("calm", 0.99), PLAIN)
    assert angry.valence < 0 < angry.arousal
    assert calm.arousal < 0 < calm.valence
