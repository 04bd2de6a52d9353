"""What is told of a microphone by what it delivers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.doctor.finding import Problem
from affectd.daemon.doctor.hearing import judge, measure

RATE_HZ = 16_000
FULL = 32_767


def found(samples: NDArray[np.int16]) -> set[str]:
    return {problem.slug for problem, _ in judge(measure(samples, 2))}


def noise(level_dbfs: float, seconds: float = 4.0) -> NDArray[np.int16]:
    sound = np.random.default_rng(0).normal(
        0, 32768 * 10 ** (level_dbfs / 20), int(seconds * RATE_HZ)
    )
    return whole(sound)


def whole(sound: "NDArray[np.floating[Any]]") -> NDArray[np.int16]:
    """The same as samples."""
    return np.asarray(np.clip(np.rint(sound), -32768, FULL), dtype=np.int16)


def quieter(speech: NDArray[np.int16], by_db: float) -> NDArray[np.int16]:
    return whole(speech * 10 ** (-by_db / 20))


def test_good_speech_in_a_quiet_room_has_no_fault(speech: NDArray[np.int16]) -> None:
    sentence = speech[: 8 * RATE_HZ]
    assert found(sentence + noise(-65, 8.0)) == set()


def test_samples_that_are_all_alike_are_silence() -> None:
    for level in (0, 37):
        assert found(np.full(RATE_HZ, level, np.int16)) == {"microphone-silent"}


def test_speech_that_is_far_too_quiet_is_told(speech: NDArray[np.int16]) -> None:
    assert "microphone-quiet" in found(quieter(speech[: 8 * RATE_HZ], 40) + noise(-95, 8.0))


def test_a_microphone_that_delivers_hardly_a_bit_is_too_quiet() -> None:
    assert "microphone-quiet" in found(noise(-88))
    assert "microphone-quiet" not in found(noise(-65))


def test_speech_that_is_cut_off_is_told(speech: NDArray[np.int16]) -> None:
    assert "microphone-clips" in found(quieter(speech[: 8 * RATE_HZ], -26))


def test_loud_steady_noise_is_no_speech_and_too_much() -> None:
    assert found(noise(-20)) == {"microphone-noisy", "noise-as-speech"}


def test_a_room_in_which_nobody_speaks_is_well() -> None:
    assert found(noise(-60)) == {"speech-not-heard"}


def test_an_offset_is_told_and_counts_for_no_level() -> None:
    hiss = noise(-60)
    assert "microphone-offset" in found(hiss + np.int16(3_000))
    assert measure(hiss + np.int16(3_000), 2).level_dbfs == measure(hiss, 2).level_dbfs


@given(st.floats(-60, -10))
def test_levels_are_those_of_the_tone_that_is_heard(level_dbfs: float) -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    amplitude = 32768 * 10 ** (level_dbfs / 20) * np.sqrt(2)
    heard = measure(whole(amplitude * np.sin(2 * np.pi * 400 * time)), 2)
    for told in (heard.level_dbfs, heard.loudest_dbfs, heard.floor_dbfs):
        assert told == pytest.approx(level_dbfs, abs=0.3)
    assert heard.clipped == 0


def test_names_of_problems_are_what_is_printed() -> None:
    assert Problem.MICROPHONE_SILENT.slug == "microphone-silent"
