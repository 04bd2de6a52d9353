from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.train.conditions import AS_RECORDED, Condition, Surroundings, Trials, Voices


@pytest.fixture
def tone() -> NDArray[np.int16]:
    time = np.arange(32_000) / 16_000
    return np.asarray(8000 * np.sin(2 * np.pi * 500 * time), np.int16)


@pytest.fixture
def white(tmp_path: Path) -> Path:
    path = tmp_path / "white.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=48_000), 16_000)
    return path


def pitch_hz(samples: NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * 16_000 / samples.size)


def power_db(samples: NDArray[np.int16]) -> float:
    return float(10 * np.log10((samples.astype(float) ** 2).mean()))


def test_as_recorded_changes_nothing(tone: NDArray[np.int16]) -> None:
    np.testing.assert_array_equal(AS_RECORDED.apply(tone, seed=0), tone)


def test_a_faster_voice_is_shorter_and_higher(tone: NDArray[np.int16]) -> None:
    faster = Condition(speed=1.1).apply(tone, seed=0)
    assert faster.size == pytest.approx(tone.size / 1.1, rel=1e-3)
    assert pitch_hz(faster) == pytest.approx(550, abs=2)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_noise_lies_below_the_speech_by_the_stated_ratio(
    snr_db: float, tone: NDArray[np.int16], white: Path
) -> None:
    noisy = Condition(noise=white, snr_db=snr_db).apply(tone, seed=0)
    noise = noisy.astype(int) - tone
    assert power_db(tone) - power_db(noise.astype(np.int16)) == pytest.approx(snr_db, abs=0.2)


def test_a_gain_is_a_gain(tone: NDArray[np.int16]) -> None:
    quieter = Condition(gain_db=-20).apply(tone, seed=0)
    assert power_db(tone) - power_db(quieter) == pytest.approx(20, abs=0.1)


def test_clipping_flattens_the_peaks(tone: NDArray[np.int16]) -> None:
    clipped = Condition(clipped_db=12).apply(tone, seed=0)
    assert (np.abs(clipped.astype(int)) >= 32767).mean() > 0.5


def test_a_room_without_reflections_changes_nothing(
    tone: NDArray[np.int16], tmp_path: Path
) -> None:
    path = tmp_path / "open.wav"
    soundfile.write(path, np.eye(1, 800)[0] * 0.9, 16_000)
    room = Condition(room=path).apply(tone, seed=0)
    np.testing.assert_allclose(room.astype(int), tone.astype(int), atol=2)


def test_opus_keeps_length_and_pitch(tone: NDArray[np.int16]) -> None:
    coded = Condition(opus_kbps=16).apply(tone, seed=0)
    assert coded.size == tone.size
    assert pitch_hz(coded) == pytest.approx(500, abs=2)


def test_a_speaker_always_has_the_same_virtual_voices(white: Path) -> None:
    around = Surroundings((white,), (white,))
    assert Voices(8, around).of("ravdess_01") == Voices(8, around).of("ravdess_01")
    assert Voices(8, around).of("ravdess_01")[1:] != Voices(8, around).of("ravdess_02")[1:]
    assert Voices(8, around).of("ravdess_01")[0] == AS_RECORDED


def test_every_trial_has_a_name(white: Path) -> None:
    trials = Trials(Surroundings((white,), (white,)))
    assert len(trials.of("ravdess_01")) == len(Trials.NAMES)
    assert trials.of("ravdess_01")[0] == AS_RECORDED
