from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.emotion.voice import (
    SPEC,
    FixedVoice,
    Voice,
    VoiceSpec,
    VoiceState,
    check,
    statistics,
)
from affectd.daemon.speech.mfcc import FeatureSpec

N_MFCC = FeatureSpec().n_mfcc
MEAN = np.linspace(-400, 10, N_MFCC)
STD = np.linspace(100, 5, N_MFCC)
DECIBEL = 8.0  # what a gain of 1 dB adds to coefficient 0: the root of 64 bands
NOW = "2026-01-01T12:00:00Z"

Features = NDArray[np.float32]


def utterance(seed: int, frames: int = 200, gain_db: float = 0.0) -> Features:
    """Features as a voice near the prior has them, through a microphone with some gain, padded."""
    random = np.random.default_rng(seed)
    features = random.normal(MEAN, STD, (298, N_MFCC))
    features[:, 0] += DECIBEL * gain_db
    features[frames:] = 0
    return features.astype(np.float32)


def voice_after(*utterances: Features, frames: int = 200, spec: VoiceSpec = SPEC) -> Voice:
    voice = Voice(MEAN, STD, spec)
    for features in utterances:
        voice.hear(features, frames)
    return voice


def assert_alike(one: Voice, other: Voice) -> None:
    np.testing.assert_allclose(one.mean_std(), other.mean_std(), rtol=1e-9, atol=1e-9)


priors = st.lists(st.floats(-1e3, 1e3), min_size=N_MFCC, max_size=N_MFCC)
deviations = st.lists(st.floats(1e-6, 1e3), min_size=N_MFCC, max_size=N_MFCC)
spoken = st.lists(
    st.tuples(st.integers(0, 99), st.integers(1, 298), st.integers(-20, 20)), max_size=20
)


Said = tuple[int, int, int]  # seed, frames, gain in decibels


def voice_of(said: list[Said], spec: VoiceSpec = SPEC) -> Voice:
    voice = Voice(MEAN, STD, spec)
    for seed, frames, gain_db in said:
        voice.hear(utterance(seed, gain_db=gain_db), frames)
    return voice


@given(priors, deviations)
def test_a_voice_that_was_never_heard_is_exactly_the_prior(
    mean: list[float], std: list[float]
) -> None:
    known = Voice(np.array(mean), np.array(std)).mean_std()
    np.testing.assert_array_equal(known, [mean, std])


def test_a_voice_that_was_heard_long_is_itself() -> None:
    other = [u + np.float32(20) for u in map(utterance, range(75))]
    mean, std = voice_after(*other).mean_std()
    spoken = np.concatenate([one[:200] for one in other])
    np.testing.assert_allclose(mean, spoken.mean(axis=0), atol=1.5)
    np.testing.assert_allclose(std, spoken.std(axis=0), rtol=0.05)


def test_as_much_speech_as_the_settings_say_weighs_as_much_as_the_prior() -> None:
    features = np.full((SPEC.deviation_frames, N_MFCC), 7.0, np.float32)
    mean, _ = voice_after(features, frames=SPEC.mean_frames).mean_std()
    np.testing.assert_allclose(mean, (MEAN + 7) / 2)
    _, std = voice_after(features, frames=SPEC.deviation_frames).mean_std()
    np.testing.assert_allclose(std, STD / np.sqrt(2))


def test_many_voices_at_once_have_the_statistics_of_each_alone() -> None:
    frames = np.array([0, 300, 9_000])
    totals, squares = frames[:, None] * MEAN, frames[:, None] * (MEAN**2 + 1)
    means, stds = statistics(MEAN, STD, frames, totals, squares)
    for row, count in enumerate(frames):
        alone = statistics(MEAN, STD, np.array(count), totals[row], squares[row])
        np.testing.assert_array_equal((means[row], stds[row]), alone)


def test_padding_is_not_heard() -> None:
    padded = utterance(1)
    other = padded.copy()
    other[200:] = 99
    assert_alike(voice_after(padded), voice_after(other))


@given(spoken, st.randoms())
def test_the_order_in_which_utterances_were_heard_does_not_matter(
    said: list[Said], random: Any
) -> None:
    shuffled = random.sample(said, len(said))
    assert_alike(voice_of(said), voice_of(shuffled))


@given(st.integers(-25, 25))
def test_the_gain_of_a_microphone_is_forgotten(gain_db: int) -> None:
    plain, amplified = voice_after(), voice_after()
    left_db = []
    for seed in range(75):
        normal, shifted = (voice.mean_std()[0][0] for voice in (plain, amplified))
        left_db.append(abs(gain_db - (shifted - normal) / DECIBEL))
        plain.hear(utterance(seed), 200)
        amplified.hear(utterance(seed, gain_db=gain_db), 200)
    assert left_db[0] == abs(gain_db)
    assert left_db == sorted(left_db, reverse=True)
    assert left_db[-1] <= 0.07 * abs(gain_db)
    np.testing.assert_allclose(plain.mean_std()[1], amplified.mean_std()[1], rtol=0.02)


@given(st.integers(1, 12), st.integers(-25, 25))
def test_an_utterance_that_is_louder_than_the_voice_stays_louder(
    louder_db: int, gain_db: int
) -> None:
    voice = voice_after(*(utterance(seed, gain_db=gain_db) for seed in range(60)))
    mean, std = voice.mean_std()
    normal, loud = (
        ((utterance(99, gain_db=gain_db + more)[:200] - mean) / std)[:, 0].mean()
        for more in (0, louder_db)
    )
    assert loud - normal == pytest.approx(louder_db * DECIBEL / STD[0], rel=0.1)


def test_old_speech_fades_when_the_room_changes() -> None:
    room, other = np.zeros((298, N_MFCC), np.float32), np.full((298, N_MFCC), 9.0, np.float32)
    voice = voice_after(*[room] * 200)
    assert voice.mean_std()[0][0] == pytest.approx(MEAN[0] * 1_000 / 16_000)
    for _ in range(300):
        voice.hear(other, 200)
    own = (voice.mean_std()[0] - MEAN) * 16_000 / 15_000 + MEAN
    np.testing.assert_allclose(own, 9.0, atol=0.3)


@given(spoken)
def test_no_more_than_the_longest_memory_counts(said: list[Said]) -> None:
    spec = VoiceSpec(longest_frames=400)
    heard = sum(frames for _, frames, _ in said)
    state = voice_of(said, spec).state(NOW)
    assert state.frames == min(heard, 400)
    assert state.utterances == len(said)


def test_reset_gives_the_prior_again() -> None:
    voice = voice_after(utterance(1))
    voice.reset()
    assert voice.utterances == 0
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))


def test_a_fixed_voice_stays_the_prior() -> None:
    voice = FixedVoice(MEAN, STD)
    voice.hear(utterance(1), 200)
    assert voice.utterances == 0
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))


@given(spoken)
def test_a_voice_goes_on_where_its_state_was_taken(said: list[Said]) -> None:
    voice, restored = voice_of(said), Voice(MEAN, STD)
    encoded = msgspec.json.encode(voice.state(NOW))
    restored.restore(msgspec.json.decode(encoded, type=VoiceState))
    assert restored.state(NOW) == voice.state(NOW)
    np.testing.assert_array_equal(restored.mean_std(), voice.mean_std())
    assert restored.utterances == len(said)


def test_a_state_outlives_a_change_of_bundle() -> None:
    restored = Voice(MEAN + 50, STD * 2)
    restored.restore(voice_after(*map(utterance, range(75))).state(NOW))
    np.testing.assert_allclose(restored.mean_std()[0], MEAN, atol=0.04 * 50 + 5)


def test_the_share_of_a_state_grows_from_0_to_nearly_1() -> None:
    assert voice_after().state(NOW).share == 0
    assert voice_after(*map(utterance, range(5)), frames=200).state(NOW).share == 0.5
    assert voice_after(*map(utterance, range(90))).state(NOW).share == pytest.approx(0.9375)


GOOD = voice_after(utterance(1)).state(NOW)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"format": 9}, "it has format 9, this version reads 1"),
        ({"features": FeatureSpec(hop=320)}, "it was made of .*hop=320.*, this version hears"),
        ({"totals": [0.0]}, "it has 1 sums and 40 sums of squares for 40 coefficients"),
        ({"squares": [0.0] * 41}, "it has 40 sums and 41 sums of squares"),
        ({"totals": [float("nan")] * 40}, "it holds sums that no speech has"),
        ({"totals": [float("inf")] * 40}, "it holds sums that no speech has"),
        ({"squares": [float("nan")] * 40}, "it holds sums that no speech has"),
        ({"squares": [1e300] * 40}, "it holds sums that no speech has"),
        ({"squares": [-1.0] * 40}, "it holds sums that no speech has"),
        ({"squares": [0.0] * 40}, "it holds sums that no speech has"),
        ({"frames": 0}, "it holds sums that no speech has"),
        ({"frames": -1}, "it holds sums that no speech has"),
        ({"frames": 15_001}, "it holds sums that no speech has"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused_and_changes_nothing(
    changed: dict[str, Any], why: str
) -> None:
    voice = voice_after(utterance(2))
    before = voice.state(NOW)
    with pytest.raises(ValueError, match=why):
        voice.restore(msgspec.structs.replace(GOOD, **changed))
    assert voice.state(NOW) == before


@given(spoken)
def test_every_state_that_a_voice_gives_is_taken(said: list[Said]) -> None:
    check(voice_of(said).state(NOW))


def test_a_state_of_one_frame_said_over_and_over_is_taken() -> None:
    frame = np.tile(utterance(3)[:1], (298, 1))
    check(voice_after(*[frame] * 100, frames=298).state(NOW))


def test_a_state_has_no_room_for_audio() -> None:
    """Two sums a coefficient, which no number of utterances makes longer."""
    state = voice_after(*map(utterance, range(9))).state(NOW)
    lists = {name: v for name, v in msgspec.structs.asdict(state).items() if isinstance(v, list)}
    assert {name: len(values) for name, values in lists.items()} == {"totals": 40, "squares": 40}
