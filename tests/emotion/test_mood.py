import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.emotion.decision import Calibration, Reading, decide
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.mood import IDLE, Mood, MoodSpec

SECOND = 16_000


def reading(emotion: str, p: float) -> Reading:
    probabilities = np.full(8, (1 - p) / 7)
    probabilities[EMOTIONS.index(emotion)] = p
    return decide(probabilities, Calibration(1.0, 0.0, 0.1, 0.9))


def test_the_mood_is_idle_until_something_was_heard() -> None:
    state = Mood(MoodSpec()).state
    assert (state.mood, state.confidence, state.utterances) == (IDLE, 0.0, 0)


def test_the_first_reading_makes_the_mood() -> None:
    state = Mood(MoodSpec()).push(reading("sad", 0.7), at=5 * SECOND)
    assert (state.mood, state.since, state.utterances) == ("sad", 5 * SECOND, 1)
    assert state.confidence == pytest.approx(0.7)


def test_one_odd_reading_does_not_change_the_mood() -> None:
    mood = Mood(MoodSpec())
    for second in (0, 5, 10):
        mood.push(reading("calm", 0.6), second * SECOND)
    assert mood.push(reading("angry", 0.8), 15 * SECOND).mood == "calm"


def test_a_mood_that_lasts_keeps_its_beginning() -> None:
    mood = Mood(MoodSpec())
    mood.push(reading("calm", 0.6), 1 * SECOND)
    assert mood.push(reading("calm", 0.6), 9 * SECOND).since == 1 * SECOND


def test_old_readings_count_less_and_less() -> None:
    mood = Mood(MoodSpec(half_life_s=10))
    mood.push(reading("calm", 0.9), 0)
    assert mood.push(reading("angry", 0.5), 1 * SECOND).mood == "calm"
    assert mood.push(reading("angry", 0.5), 60 * SECOND).mood == "angry"


def test_a_surer_reading_weighs_more() -> None:
    mood = Mood(MoodSpec(half_life_s=1e9))
    mood.push(reading("calm", 0.4), 0)
    assert mood.push(reading("angry", 0.9), 0).mood == "angry"


def test_after_one_half_life_a_reading_weighs_half() -> None:
    mood = Mood(MoodSpec(half_life_s=10))
    mood.push(reading("calm", 0.8), 0)
    state = mood.push(reading("sad", 0.8), 10 * SECOND)
    calm, sad = (state.probabilities[EMOTIONS.index(e)] for e in ("calm", "sad"))
    rest = 0.2 / 7
    assert (calm - rest) / (sad - rest) == pytest.approx(0.5)


def test_the_mood_changes_when_enough_of_the_last_readings_agree() -> None:
    mood = Mood(MoodSpec(margin=1.0, agree=2, of=3))
    mood.push(reading("calm", 0.4), 0)
    assert mood.push(reading("sad", 0.6), 5 * SECOND).mood == "calm"
    assert mood.push(reading("happy", 0.3), 9 * SECOND).mood == "calm"
    state = mood.push(reading("sad", 0.6), 13 * SECOND)
    assert (state.mood, state.since) == ("sad", 13 * SECOND)


def test_the_mood_changes_when_another_emotion_leads_by_the_margin() -> None:
    mood = Mood(MoodSpec(margin=0.1, agree=100, of=100))
    mood.push(reading("calm", 0.4), 0)
    assert mood.push(reading("sad", 0.41), 1 * SECOND).mood == "calm"
    assert mood.push(reading("sad", 0.8), 2 * SECOND).mood == "sad"


def test_readings_that_agree_change_the_mood_though_more_was_said_before() -> None:
    mood = Mood(MoodSpec(half_life_s=1e9, margin=1.0, agree=3, of=4))
    for second in range(20):
        mood.push(reading("neutral", 0.9), second * SECOND)
    moods = [mood.push(reading("angry", 0.6), (20 + n) * SECOND).mood for n in range(3)]
    assert moods == ["neutral", "neutral", "angry"]


def test_the_mood_is_idle_after_a_long_silence_and_begins_anew() -> None:
    mood = Mood(MoodSpec(idle_after_s=60))
    mood.push(reading("angry", 0.9), 10 * SECOND)
    assert not mood.rest(69 * SECOND)
    assert mood.rest(70 * SECOND)
    assert not mood.rest(71 * SECOND)
    assert (mood.state.mood, mood.state.since, mood.state.utterances) == (IDLE, 70 * SECOND, 1)
    assert mood.push(reading("calm", 0.5), 80 * SECOND).mood == "calm"


@given(st.lists(st.tuples(st.sampled_from(EMOTIONS), st.floats(0.2, 0.99), st.integers(0, 900))))
def test_the_mood_is_always_one_that_was_heard_with_its_share_of_the_evidence(
    heard: list[tuple[str, float, int]],
) -> None:
    mood, at = Mood(MoodSpec()), 0
    for emotion, p, pause_s in heard:
        at += pause_s * SECOND
        mood.rest(at)
        state = mood.push(reading(emotion, p), at)
        assert state.mood in {emotion for emotion, _, _ in heard}
        assert state.confidence == state.probabilities[EMOTIONS.index(state.mood)]
        assert sum(state.probabilities) == pytest.approx(1)
        assert state.since <= at
