import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.speech.level import QualitySpec, clipped_share, flaws, level_dbfs, snr_db
from affectd.daemon.speech.segmenter import Utterance
from affectd.daemon.speech.vad import FRAME


def utterance(amplitudes: list[float], voiced: list[bool]) -> Utterance:
    """Frames of a square wave, whose RMS is its amplitude, 1 being full scale."""
    wave = np.where(np.arange(FRAME) % 2, 1.0, -1.0)
    samples = np.concatenate([a * wave for a in amplitudes]) * 32767
    return Utterance(samples.astype(np.int16), 0, np.array(voiced))


def test_full_scale_is_0_dbfs_and_a_tenth_is_20_less() -> None:
    assert level_dbfs(utterance([1.0], [True])) == pytest.approx(0, abs=0.01)
    assert level_dbfs(utterance([0.1], [True])) == pytest.approx(-20, abs=0.01)


def test_the_level_is_that_of_the_voiced_frames() -> None:
    assert level_dbfs(utterance([0.1, 0.001], [True, False])) == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize("offset", [-2000, 2000])
@pytest.mark.parametrize("hz", [40.0, 85.0, 1000.0])
def test_an_offset_changes_neither_level_nor_noise_of_any_tone(offset: int, hz: float) -> None:
    loud = np.arange(60 * FRAME) < 40 * FRAME
    tone = np.sin(2 * np.pi * hz * np.arange(60 * FRAME) / 16_000) * np.where(loud, 3000, 30)
    voiced = loud[::FRAME]
    plain = Utterance(np.rint(tone).astype(np.int16), 0, voiced)
    shifted = Utterance(np.rint(tone + offset).astype(np.int16), 0, voiced)
    assert level_dbfs(plain) == pytest.approx(20 * np.log10(3000 / 32768 / np.sqrt(2)), abs=0.01)
    assert snr_db(plain) == pytest.approx(40, abs=0.2)
    assert level_dbfs(shifted) == pytest.approx(level_dbfs(plain), abs=1e-6)
    assert snr_db(shifted) == pytest.approx(snr_db(plain), abs=1e-6)


def test_an_offset_alone_is_silence() -> None:
    one = Utterance(np.full(2 * FRAME, 2000, np.int16), 0, np.array([True, False]))
    assert level_dbfs(one) == pytest.approx(-90.3)


def test_samples_are_clipped_where_they_stand_whatever_their_mean() -> None:
    samples = np.full(FRAME, 32_767, np.int16)
    assert clipped_share(Utterance(samples, 0, np.array([True]))) == 1.0


def test_noise_is_what_the_other_frames_hold() -> None:
    assert snr_db(utterance([0.1, 0.001], [True, False])) == pytest.approx(40, abs=0.3)


def test_without_other_frames_the_noise_is_not_known() -> None:
    assert snr_db(utterance([0.1, 0.1], [True, True])) is None


def test_digital_silence_has_a_finite_level() -> None:
    silent: NDArray[np.int16] = np.zeros(2 * FRAME, np.int16)
    one = Utterance(silent, 0, np.array([True, False]))
    assert level_dbfs(one) == pytest.approx(-90.3)
    assert snr_db(one) == 0


def test_what_stands_at_the_end_of_the_scale_is_clipped() -> None:
    samples = np.zeros(FRAME, np.int16)
    samples[10:58] = 32_767
    samples[100:124] = -32_768
    samples[200] = 32_767  # a peak
    assert clipped_share(Utterance(samples, 0, np.array([True]))) == pytest.approx(72 / FRAME)


def test_flaws_are_what_lies_beyond_the_limits() -> None:
    spec = QualitySpec(least_snr_db=3.0, most_clipped=0.02)
    assert flaws(3.0, 0.02, spec) == []
    assert flaws(None, 0.0, spec) == []
    assert flaws(2.9, 0.021, spec) == ["noisy", "clipped"]
