import numpy as np
import pytest

from affectd.daemon.emotion.decision import Calibration, Reading, decide
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.mood import IDLE, Mood

SECOND = 16_000


def reading(emotion: str, p: float) -> Reading:
    probabilities = np.full(8, (1 - p) / 7)
    probabilities[EMOTIONS.index(emotion)] = p
    return decide(probabilities, Calibration(1.0, 0.0, 0.1, 0.9))


def test_the_mood_is_idle_until_something_was_heard() -> None:
    state = Mood(60).state
    assert (state.mood, state.confidence, state.utterances) == (IDLE, 0.0, 0)


def test_the_first_reading_makes_the_mood() -> None:
    state = Mood(60).push(reading("sad", 0.7), at=5 * SECOND)
    assert (state.mood, state.since, state.utterances) == ("sad", 5 * SECOND, 1)
    assert state.confidence == pytest.approx(0.7)


def test_one_odd_reading_does_not_change_the_mood() -> None:
    mood = Mood(60)
    for second in (0, 5, 10):
        mood.push(reading("calm", 0.6), second * SECOND)
    assert mood.push(reading("angry", 0.8), 15 * SECOND).mood == "calm"


def test_a_mood_that_lasts_keeps_its_beginning() -> None:
    mood = Mood(60)
    mood.push(reading("calm", 0.6), 1 * SECOND)
    assert mood.push(reading("calm", 0.6), 9 * SECOND).since == 1 * SECOND


def test_old_readings_count_less_and_less() -> None:
    mood = Mood(10)
    mood.push(reading("calm", 0.9), 0)
    assert mood.push(reading("angry", 0.5), 1 * SECOND).mood == "calm"
    assert mood.push(reading("angry", 0.5), 60 * SECOND).mood == "angry"


def test_a_surer_reading_weighs_more() -> None:
    mood = Mood(1e9)
    mood.push(reading("calm", 0.4), 0)
    assert mood.push(reading("angry", 0.9), 0).mood == "angry"


def test_after_one_half_life_a_reading_weighs_half() -> None:
    mood = Mood(10)
    mood.push(reading("calm", 0.8), 0)
    state = mood.push(reading("sad", 0.8), 10 * SECOND)
    calm, sad = (state.probabilities[EMOTIONS.index(e)] for e in ("calm", "sad"))
    rest = 0.2 / 7
    assert (calm - rest) / (sad - rest) == pytest.approx(0.5)
