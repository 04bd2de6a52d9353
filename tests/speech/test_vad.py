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
