import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.ring import Ring
from affectd.daemon.speech.ear import OFFSET, Ear, Heard
from affectd.daemon.speech.mfcc import INT16_SCALE, FeatureSpec, mfcc
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE, FRAME

SPEC = FeatureSpec()


def listen(samples: NDArray[np.int16], sizes: list[int]) -> list[Heard]:
    starts = np.cumsum([0, *sizes])
    blocks = np.split(samples, starts[starts < samples.size])
    return list(Ear(SPEC, SegmenterSpec(), DEFAULT_MODE).listen(blocks))


def features_of(one: Heard) -> NDArray[np.float32]:
    """The MFCCs of an utterance as a whole, without the offset that its beginning has."""
    samples = one.utterance.samples
    offset = samples[: OFFSET * FRAME].mean(dtype=np.float32)
    return mfcc((samples - offset) * INT16_SCALE, SPEC)


@settings(max_examples=25)
@given(sizes=st.lists(st.one_of(st.integers(1, 600), st.integers(1, 65_536)), max_size=200))
def test_the_same_utterances_are_heard_for_any_block_sizes(
    sizes: list[int], speech: NDArray[np.int16]
) -> None:
    samples = speech[: 16_000 * 12]
    whole, split = listen(samples, []), listen(samples, sizes)
    assert len(whole) == len(split) > 1
    for one, other in zip(whole, split, strict=True):
        assert one.utterance.start == other.utterance.start
        np.testing.assert_array_equal(one.utterance.samples, other.utterance.samples)
        np.testing.assert_array_equal(one.features, other.features)


@settings(max_examples=15)
@given(
    rate_hz=st.sampled_from([8_000, 16_000, 44_100, 48_000, 192_000]),
    channels=st.sampled_from([1, 2, 8]),
    sizes=st.lists(st.integers(1, 65_536), max_size=40),
)
def test_the_same_is_heard_of_a_device_however_its_blocks_come(
    rate_hz: int, channels: int, sizes: list[int], speech: NDArray[np.int16]
) -> None:
    device = soxr.resample(speech[: 16_000 * 5] / np.float32(32768), 16_000, rate_hz)
    sound = np.repeat(np.rint(device * 20_000).astype(np.int16)[:, None], channels, axis=1)
    heard = []
    for blocks in ([sound], np.split(sound, np.cumsum(sizes))):
        ring, converter = Ring(10 * rate_hz, channels), Converter(rate_hz, None)
        mono = []
        for block in blocks:
            ring.write(block)
            mono.append(converter.push(ring.read().astype(np.float32) / 32768))
        assert ring.lost == 0
        heard.append(list(Ear(SPEC, SegmenterSpec(), DEFAULT_MODE).listen(mono)))
    assert len(heard[0]) == len(heard[1]) >= 1
    for one, other in zip(*heard, strict=True):
        assert one.utterance.start == other.utterance.start
        np.testing.assert_array_equal(one.utterance.samples, other.utterance.samples)
        np.testing.assert_array_equal(one.features, other.features)


def test_features_are_those_of_the_utterance_and_zeros_after_them(
    speech: NDArray[np.int16],
) -> None:
    heard = listen(speech, [])
    assert len(heard) >= 8
    for one in heard:
        assert one.features.shape == (SPEC.n_frames, SPEC.n_mfcc)
        own = features_of(one)
        assert one.frames == len(own)
        np.testing.assert_allclose(one.features[: one.frames], own, atol=1e-3)
        assert not one.features[one.frames :].any()


def test_an_utterance_of_three_seconds_fills_all_frames_but_two(speech: NDArray[np.int16]) -> None:
    spoken = [
        one.utterance.samples.reshape(-1, FRAME)[one.utterance.voiced] for one in listen(speech, [])
    ]
    without_pauses = np.concatenate(spoken).ravel()
    longest = max(listen(without_pauses, []), key=lambda one: one.frames)
    assert longest.utterance.samples.size == 48_000
    assert (longest.frames, len(longest.features)) == (298, 300)


@pytest.mark.parametrize("offset", [-2000, 2000])
def test_an_offset_of_the_microphone_leaves_the_features_as_they_are(
    offset: int, speech: NDArray[np.int16]
) -> None:
    hiss = np.random.default_rng(0).integers(-2, 3, speech.size).astype(np.int16)
    sound = speech // 2 + hiss  # so that no peak leaves the scale
    plain, shifted = listen(sound, []), listen(sound + np.int16(offset), [])
    assert len(plain) >= 8
    for one, other in zip(plain, shifted, strict=True):
        np.testing.assert_allclose(other.features, one.features, atol=1e-2)


def test_an_utterance_after_a_dropped_one_starts_its_features_anew(
    speech: NDArray[np.int16],
) -> None:
    burst = speech[16_000 : 16_000 + 16 * FRAME]
    samples = np.concatenate([burst, np.zeros(16_000, np.int16), speech[: 16_000 * 6]])
    first = listen(samples, [])[0]
    np.testing.assert_allclose(first.features[: first.frames], features_of(first), atol=1e-3)


def test_silence_is_not_speech() -> None:
    assert listen(np.zeros(16_000 * 10, np.int16), [480] * 300) == []


def test_the_ear_tells_while_someone_is_speaking(speech: NDArray[np.int16]) -> None:
    ear = Ear(SPEC, SegmenterSpec(), DEFAULT_MODE)
    states = [ear.is_speaking for _ in ear.push(speech[: 16_000 * 6])]
    assert states[0] is False
    assert True in states
