import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.mfcc import FeatureSpec, mfcc
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE, FRAME

SPEC = FeatureSpec()


def listen(samples: NDArray[np.int16], sizes: list[int]) -> list[Heard]:
    starts = np.cumsum([0, *sizes])
    blocks = np.split(samples, starts[starts < samples.size])
    return list(Ear(SPEC, SegmenterSpec(), DEFAULT_MODE).listen(blocks))


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 30_000), max_size=200))
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


def test_features_are_those_of_the_utterance_padded_to_three_seconds(
    speech: NDArray[np.int16],
) -> None:
    heard = listen(speech, [])
    assert len(heard) >= 8
    for one in heard:
        padded = np.zeros(SPEC.samples, np.float32)
        padded[: one.utterance.samples.size] = one.utterance.samples / np.float32(32768)
        np.testing.assert_allclose(one.features, mfcc(padded, SPEC), atol=1e-3)


def test_frames_are_those_that_are_full_of_the_utterance(speech: NDArray[np.int16]) -> None:
    for one in listen(speech, []):
        pcm = one.utterance.samples / np.float32(32768)
        own = mfcc(pcm, SPEC)
        assert one.frames == len(own)
        np.testing.assert_allclose(one.features[: one.frames], own, atol=1e-3)


def test_an_utterance_after_a_dropped_one_starts_its_features_anew(
    speech: NDArray[np.int16],
) -> None:
    burst = speech[16_000 : 16_000 + 16 * FRAME]
    samples = np.concatenate([burst, np.zeros(16_000, np.int16), speech[: 16_000 * 6]])
    first = listen(samples, [])[0]
    pcm = np.zeros(SPEC.samples, np.float32)
    pcm[: first.utterance.samples.size] = first.utterance.samples / np.float32(32768)
    np.testing.assert_allclose(first.features, mfcc(pcm, SPEC), atol=1e-3)


def test_silence_is_not_speech() -> None:
    assert listen(np.zeros(16_000 * 10, np.int16), [480] * 300) == []


def test_the_ear_tells_while_someone_is_speaking(speech: NDArray[np.int16]) -> None:
    ear = Ear(SPEC, SegmenterSpec(), DEFAULT_MODE)
    states = [ear.is_speaking for _ in ear.push(speech[: 16_000 * 6])]
    assert states[0] is False
    assert True in states
