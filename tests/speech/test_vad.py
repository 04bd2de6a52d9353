import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.speech.vad import DEFAULT_MODE, FRAME, Vad

SETTLES = 6  # frames in which the detector takes the step to an offset for sound


def voiced(samples: NDArray[np.int16], mode: int = DEFAULT_MODE) -> NDArray[np.bool_]:
    vad = Vad(mode)
    whole = samples.size - samples.size % FRAME
    return np.array([vad.is_speech(frame) for frame in samples[:whole].reshape(-1, FRAME)])


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("offset", [-2000, 200, 2000])
def test_an_offset_hardly_changes_what_is_taken_for_voice(
    offset: int, mode: int, speech: NDArray[np.int16]
) -> None:
    hiss = np.random.default_rng(0).integers(-2, 3, speech.size).astype(np.int16)
    plain, shifted = (voiced(speech + hiss + np.int16(add), mode) for add in (0, offset))
    assert np.mean(plain[SETTLES:] != shifted[SETTLES:]) < 0.01


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("offset", [-2000, 1, 2000, 32_767])
def test_an_offset_alone_is_no_voice(offset: int, mode: int) -> None:
    assert not voiced(np.full(16_000 * 10, offset, np.int16), mode)[SETTLES:].any()


@pytest.mark.parametrize("quieter_db", [6, 12, 20, 30])
def test_a_quiet_voice_is_heard_as_well_as_a_loud_one(
    quieter_db: int, speech: NDArray[np.int16]
) -> None:
    loud = voiced(speech)
    quiet = voiced(np.round(speech * 10 ** (-quieter_db / 20)).astype(np.int16))
    assert loud.any()
    assert quiet[loud].mean() > 0.85


@pytest.mark.parametrize("peak_dbfs", [-70, -60, -50, -40, -30, -20])
def test_steady_noise_is_no_voice_however_quiet(peak_dbfs: int) -> None:
    hiss = np.random.default_rng(0).normal(size=16_000 * 20)
    hiss *= 32_767 * 10 ** (peak_dbfs / 20) / np.abs(hiss).max()
    assert voiced(np.round(hiss).astype(np.int16)).mean() < 0.05


def test_a_quiet_voice_is_heard_again_soon_after_a_bang(speech: NDArray[np.int16]) -> None:
    quiet = np.round(speech[: 16_000 * 20] * 10 ** (-30 / 20)).astype(np.int16)
    bang = np.zeros(FRAME * 10, np.int16)
    bang[:FRAME] = 32_767 * np.sin(np.arange(FRAME))
    alone, after = voiced(quiet), voiced(np.concatenate([bang, quiet]))[10:]
    later = slice(16_000 * 10 // FRAME, None)
    assert alone[later].any()
    assert after[later][alone[later]].mean() > 0.8
