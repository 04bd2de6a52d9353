import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.speech.segmenter import Segmenter, SegmenterSpec, Utterance
from affectd.daemon.speech.vad import FRAME

SPEC = SegmenterSpec()
# Runs of voiced and unvoiced frames, as speech has them.
voicing = st.lists(st.tuples(st.booleans(), st.integers(1, 150)), max_size=12).map(
    lambda runs: [voiced for voiced, length in runs for _ in range(length)]
)


def frames(count: int) -> NDArray[np.int16]:
    """Frames that differ from each other, so that their order can be checked."""
    return np.repeat(np.arange(count, dtype=np.int16), FRAME).reshape(count, FRAME)


def cut(voiced: list[bool]) -> list[Utterance]:
    segmenter = Segmenter(SPEC)
    pushed = [segmenter.push(f, v) for f, v in zip(frames(len(voiced)), voiced, strict=True)]
    return [one for one in [*pushed, segmenter.flush()] if one is not None]


@given(voicing)
def test_an_utterance_is_never_longer_than_three_seconds(voiced: list[bool]) -> None:
    assert all(one.samples.size <= 48_000 for one in cut(voiced))


@given(voicing)
def test_utterances_hold_the_samples_from_where_they_start(voiced: list[bool]) -> None:
    everything = frames(len(voiced)).ravel()
    for one in cut(voiced):
        np.testing.assert_array_equal(
            one.samples, everything[one.start : one.start + one.samples.size]
        )
        first = one.start // FRAME
        assert one.voiced.tolist() == voiced[first : first + len(one.voiced)]


@given(voicing)
def test_utterances_never_overlap(voiced: list[bool]) -> None:
    cuts = cut(voiced)
    for one, following in itertools.pairwise(cuts):
        assert one.start + one.samples.size <= following.start


@given(voicing)
def test_every_utterance_has_enough_voiced_audio(voiced: list[bool]) -> None:
    assert all(one.voiced.sum() >= SPEC.least_voiced for one in cut(voiced))


@given(length=st.integers(20, 500), before=st.integers(0, 60))
def test_no_voiced_audio_of_speech_that_goes_on_is_lost(length: int, before: int) -> None:
    cuts = cut([False] * before + [True] * length + [False] * 40)
    kept = np.concatenate([one.voiced for one in cuts]).sum()
    tail = (min(before, SPEC.pre_roll) + length) % SPEC.longest
    dropped = tail if tail < SPEC.least_voiced else 0
    assert kept == length - dropped


def test_speech_that_goes_on_is_cut_into_utterances_of_three_seconds() -> None:
    first, second, third = cut([True] * 300)
    assert first.samples.size == second.samples.size == third.samples.size == 48_000
    assert [first.start, second.start, third.start] == [0, 48_000, 96_000]


def test_the_pre_roll_of_300_ms_is_kept() -> None:
    (one,) = cut([False] * 50 + [True] * 40 + [False] * 40)
    assert one.start == (50 - 10) * FRAME


def test_the_first_voiced_frame_counts_though_the_next_is_not() -> None:
    (one,) = cut([False] * 50 + [True, False] + [True] * 40 + [False] * 40)
    assert one.start == (50 - 10) * FRAME


def test_a_pause_within_the_hang_over_does_not_end_an_utterance() -> None:
    pause = [False] * (SPEC.hang_over - 1)
    assert len(cut([True] * 25 + pause + [True] * 25 + [False] * 40)) == 1


def test_a_silence_ends_an_utterance() -> None:
    silence = [False] * SPEC.hang_over
    first, second = cut([True] * 30 + silence + [True] * 30 + [False] * 40)
    assert first.samples.size == (30 + SPEC.hang_over) * FRAME
    assert second.start == first.samples.size


def test_speech_shorter_than_600_ms_is_dropped() -> None:
    assert cut([False] * 20 + [True] * 19 + [False] * 40) == []
    assert len(cut([False] * 20 + [True] * 20 + [False] * 40)) == 1


def test_speech_ratio_is_the_share_of_voiced_frames() -> None:
    (one,) = cut([True] * 45 + [False] * 15)
    assert one.speech_ratio == pytest.approx(45 / 60)


def test_audio_of_an_utterance_cannot_be_changed() -> None:
    (one,) = cut([True] * 40)
    with pytest.raises(ValueError, match="read-only"):
        one.samples[0] = 1


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a frame has shape \(480,\), not \(320,\)"):
        Segmenter(SPEC).push(np.zeros(320, np.int16), voiced=True)
