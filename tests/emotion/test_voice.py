from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.voice import (
    SPEC,
    FixedVoice,
    Voice,
    VoiceSpec,
    VoiceState,
    check,
    statistics,
)

WIDTH, FRAMES = 40, 75  # of the encoder frames here
ENCODER = "0123456789ab"
MEAN = np.linspace(-4, 4, WIDTH)
STD = np.linspace(1, 0.1, WIDTH)
NOW = "2026-01-01T12:00:00Z"


def utterance(seed: int, count: int = 50, shift: float = 0.0) -> Encoding:
    """Frames as a voice near the prior has them, through a microphone that shifts the first value."""
    frames = np.random.default_rng(seed).normal(MEAN, STD, (FRAMES, WIDTH))
    frames[:, 0] += shift
    frames[count:] = 0
    return Encoding(frames.astype(np.float32), count)


def alike(value: float, count: int) -> Encoding:
    """So many frames of one value."""
    return Encoding(np.full((max(count, FRAMES), WIDTH), value, np.float32), count)


def new_voice(spec: VoiceSpec = SPEC) -> Voice:
    return Voice(MEAN, STD, ENCODER, spec)


def voice_after(*utterances: Encoding, spec: VoiceSpec = SPEC) -> Voice:
    voice = new_voice(spec)
    for encoding in utterances:
        voice.hear(encoding)
    return voice


def assert_alike(one: Voice, other: Voice) -> None:
    np.testing.assert_allclose(one.mean_std(), other.mean_std(), rtol=1e-9, atol=1e-9)


priors = st.lists(st.floats(-1e2, 1e2), min_size=WIDTH, max_size=WIDTH)
deviations = st.lists(st.floats(1e-6, 1e2), min_size=WIDTH, max_size=WIDTH)
spoken = st.lists(
    st.tuples(st.integers(0, 99), st.integers(1, FRAMES), st.integers(-4, 4)), max_size=20
)


Said = tuple[int, int, int]  # seed, frames, shift


def voice_of(said: list[Said], spec: VoiceSpec = SPEC) -> Voice:
    return voice_after(*(utterance(*one) for one in said), spec=spec)


@given(priors, deviations)
def test_a_voice_that_was_never_heard_is_exactly_the_prior(
    mean: list[float], std: list[float]
) -> None:
    known = Voice(np.array(mean), np.array(std), ENCODER).mean_std()
    np.testing.assert_array_equal(known, [mean, std])


def test_a_voice_that_was_heard_long_is_itself() -> None:
    other = [Encoding(one.frames + np.float32(2), one.count) for one in map(utterance, range(75))]
    mean, std = voice_after(*other).mean_std()
    spoken = np.concatenate([one.frames[: one.count] for one in other])
    np.testing.assert_allclose(mean, spoken.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(std, spoken.std(axis=0), rtol=0.05, atol=0.15)


def test_as_much_speech_as_the_settings_say_weighs_as_much_as_the_prior() -> None:
    mean, _ = voice_after(alike(7.0, SPEC.mean_frames)).mean_std()
    np.testing.assert_allclose(mean, (MEAN + 7) / 2)
    _, std = voice_after(alike(7.0, SPEC.deviation_frames)).mean_std()
    np.testing.assert_allclose(std, STD / np.sqrt(2))


def test_many_voices_at_once_have_the_statistics_of_each_alone() -> None:
    frames = np.array([0, 75, 2_250])
    totals, squares = frames[:, None] * MEAN, frames[:, None] * (MEAN**2 + 1)
    means, stds = statistics(MEAN, STD, frames, totals, squares)
    for row, count in enumerate(frames):
        alone = statistics(MEAN, STD, np.array(count), totals[row], squares[row])
        np.testing.assert_array_equal((means[row], stds[row]), alone)


def test_padding_is_not_heard() -> None:
    padded = utterance(1)
    other = padded.frames.copy()
    other[padded.count :] = 99
    assert_alike(voice_after(padded), voice_after(Encoding(other, padded.count)))


@given(spoken, st.randoms())
def test_the_order_in_which_utterances_were_heard_does_not_matter(
    said: list[Said], random: Any
) -> None:
    shuffled = random.sample(said, len(said))
    assert_alike(voice_of(said), voice_of(shuffled))


@given(st.integers(-9, 9))
def test_a_shift_by_the_microphone_is_forgotten(shift: int) -> None:
    plain, shifted = new_voice(), new_voice()
    left = []
    for seed in range(75):
        normal, other = (voice.mean_std()[0][0] for voice in (plain, shifted))
        left.append(abs(shift - (other - normal)))
        plain.hear(utterance(seed))
        shifted.hear(utterance(seed, shift=shift))
    assert left[0] == abs(shift)
    assert left == sorted(left, reverse=True)
    assert left[-1] <= 0.07 * abs(shift)


@given(st.integers(1, 4), st.integers(-9, 9))
def test_an_utterance_that_differs_from_the_voice_goes_on_differing(more: int, shift: int) -> None:
    voice = voice_after(*(utterance(seed, shift=shift) for seed in range(60)))
    mean, _ = voice.mean_std()
    usual, other = (
        (utterance(99, shift=shift + by).frames[:50] - mean)[:, 0].mean() for by in (0, more)
    )
    assert other - usual == pytest.approx(more, rel=0.01)


def test_old_speech_fades_when_the_room_changes() -> None:
    weight = SPEC.longest_frames + SPEC.mean_frames
    voice = voice_after(*[alike(0.0, 50)] * 200)
    assert voice.mean_std()[0][0] == pytest.approx(MEAN[0] * SPEC.mean_frames / weight)
    for _ in range(300):
        voice.hear(alike(9.0, 50))
    own = (voice.mean_std()[0] - MEAN) * weight / SPEC.longest_frames + MEAN
    np.testing.assert_allclose(own, 9.0, atol=0.3)


@given(spoken)
def test_no_more_than_the_longest_memory_counts(said: list[Said]) -> None:
    spec = VoiceSpec(longest_frames=100)
    heard = sum(frames for _, frames, _ in said)
    state = voice_of(said, spec).state(NOW)
    assert state.frames == min(heard, 100)
    assert state.utterances == len(said)


def test_reset_gives_the_prior_again() -> None:
    voice = voice_after(utterance(1))
    voice.reset()
    assert voice.utterances == 0
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))


def test_a_fixed_voice_stays_the_prior() -> None:
    voice = FixedVoice(MEAN, STD, ENCODER)
    voice.hear(utterance(1))
    assert voice.utterances == 0
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))


@given(spoken)
def test_a_voice_goes_on_where_its_state_was_taken(said: list[Said]) -> None:
    voice, restored = voice_of(said), new_voice()
    encoded = msgspec.json.encode(voice.state(NOW))
    restored.restore(msgspec.json.decode(encoded, type=VoiceState))
    assert restored.state(NOW) == voice.state(NOW)
    np.testing.assert_array_equal(restored.mean_std(), voice.mean_std())
    assert restored.utterances == len(said)


def test_a_state_outlives_a_change_of_bundle() -> None:
    restored = Voice(MEAN + 5, STD * 2, ENCODER)
    restored.restore(voice_after(*map(utterance, range(75))).state(NOW))
    np.testing.assert_allclose(restored.mean_std()[0], MEAN, atol=0.07 * 5 + 0.1)


def test_the_share_of_a_state_grows_from_0_to_nearly_1() -> None:
    assert voice_after().state(NOW).share == 0
    assert voice_after(*map(utterance, range(5))).state(NOW).share == 0.5
    assert voice_after(*map(utterance, range(90))).state(NOW).share == pytest.approx(0.9375)


GOOD = voice_after(utterance(1)).state(NOW)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {"format": 1},
            r"was made by an earlier affectd \(it has format 1, this version reads 2\)",
        ),
        ({"format": 9}, r"was made by a later affectd \(it has format 9, this version reads 2\)"),
        ({"encoder": "cafe"}, r"was made with another encoder \('cafe', the bundle has '0123"),
        ({"totals": [0.0]}, "it has 1 sums and 40 sums of squares for encoder frames of 40 values"),
        ({"squares": [0.0] * 41}, "it has 40 sums and 41 sums of squares"),
        ({"totals": [float("nan")] * 40}, "it holds sums that no speech has"),
        ({"totals": [float("inf")] * 40}, "it holds sums that no speech has"),
        ({"squares": [float("nan")] * 40}, "it holds sums that no speech has"),
        ({"squares": [1e300] * 40}, "it holds sums that no speech has"),
        ({"squares": [-1.0] * 40}, "it holds sums that no speech has"),
        ({"squares": [0.0] * 40}, "it holds sums that no speech has"),
        ({"frames": 0}, "it holds sums that no speech has"),
        ({"frames": -1}, "it holds sums that no speech has"),
        ({"frames": 3_751}, "it holds sums that no speech has"),
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
    check(voice_of(said).state(NOW), ENCODER, WIDTH)


def test_a_state_of_one_frame_said_over_and_over_is_taken() -> None:
    frames = np.tile(utterance(3).frames[:1], (FRAMES, 1))
    voice = voice_after(*[Encoding(frames, FRAMES)] * 100)
    check(voice.state(NOW), ENCODER, WIDTH)


def test_a_state_has_no_room_for_audio() -> None:
    """Two sums for each value, which no number of utterances makes longer."""
    state = voice_after(*map(utterance, range(9))).state(NOW)
    lists = {name: v for name, v in msgspec.structs.asdict(state).items() if isinstance(v, list)}
    assert {name: len(values) for name, values in lists.items()} == {"totals": 40, "squares": 40}
