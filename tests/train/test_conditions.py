from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.train.conditions import AS_RECORDED, Condition, Surroundings, Trials, Voices

Samples = NDArray[np.int16]


def tone_of(hz: float, amplitude: float = 8_000, seconds: float = 2) -> Samples:
    time = np.arange(int(16_000 * seconds)) / 16_000
    return np.asarray(np.round(amplitude * np.sin(2 * np.pi * hz * time)), np.int16)


@pytest.fixture
def tone() -> Samples:
    return tone_of(500)


@pytest.fixture
def white(tmp_path: Path) -> Path:
    path = tmp_path / "white.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=48_000), 16_000)
    return path


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * 16_000 / samples.size)


def power_db(samples: NDArray[np.generic]) -> float:
    return float(10 * np.log10((samples.astype(float) ** 2).mean() + 1e-9))


def test_as_recorded_changes_nothing(tone: Samples) -> None:
    np.testing.assert_array_equal(AS_RECORDED.apply(tone, seed=0), tone)


@pytest.mark.parametrize("speed", [0.85, 1.1, 1.18])
def test_a_faster_voice_is_shorter_and_higher(speed: float, tone: Samples) -> None:
    faster = Condition(speed=speed).apply(tone, seed=0)
    assert faster.size == pytest.approx(tone.size / speed, rel=1e-3)
    assert pitch_hz(faster) == pytest.approx(500 * speed, abs=2)


@pytest.mark.parametrize("tempo", [0.85, 1.18])
def test_another_tempo_is_shorter_or_longer_and_as_high(tempo: float, tone: Samples) -> None:
    stretched = Condition(tempo=tempo).apply(tone, seed=0)
    assert stretched.size == pytest.approx(tone.size / tempo, rel=1e-2)
    assert pitch_hz(stretched) == pytest.approx(500, abs=2)
    middle = slice(stretched.size // 4, -stretched.size // 4)
    assert power_db(stretched[middle]) == pytest.approx(power_db(tone), abs=1)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_noise_lies_below_the_speech_by_the_stated_ratio(
    snr_db: float, tone: Samples, white: Path
) -> None:
    noisy = Condition(noise=white, snr_db=snr_db).apply(tone, seed=0)
    noise = noisy.astype(int) - tone
    assert power_db(tone) - power_db(noise.astype(np.int16)) == pytest.approx(snr_db, abs=0.2)


def test_the_seed_chooses_the_part_of_a_noise(tone: Samples, white: Path) -> None:
    condition = Condition(noise=white, snr_db=10)
    one, again, other = (condition.apply(tone, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("gain_db", [-20, 6])
def test_a_gain_is_a_gain(gain_db: float, tone: Samples) -> None:
    other = Condition(gain_db=gain_db).apply(tone, seed=0)
    assert power_db(other) - power_db(tone) == pytest.approx(gain_db, abs=0.1)


@pytest.mark.parametrize("peak_dbfs", [-40, -20, 0])
@pytest.mark.parametrize("amplitude", [500, 30_000])
def test_the_largest_sample_is_put_at_the_stated_peak(peak_dbfs: float, amplitude: float) -> None:
    peak = Condition(peak_dbfs=peak_dbfs).apply(tone_of(500, amplitude), seed=0)
    assert 20 * np.log10(np.abs(peak.astype(int)).max() / 32768) == pytest.approx(
        peak_dbfs, abs=0.1
    )


def test_a_peak_above_full_scale_is_clipped(tone: Samples) -> None:
    clipped = Condition(peak_dbfs=12).apply(tone, seed=0)
    assert (np.abs(clipped.astype(int)) >= 32767).mean() > 0.5


def test_a_silent_recording_stays_silent_at_any_peak() -> None:
    assert not Condition(peak_dbfs=0).apply(np.zeros(1_000, np.int16), seed=0).any()


@pytest.mark.parametrize(("hz", "most_db"), [(100, -30), (6_000, -30)])
def test_a_telephone_removes_what_is_outside_its_band(hz: float, most_db: float) -> None:
    sound = tone_of(hz)
    heard = Condition(is_telephone=True).apply(sound, seed=0)
    assert power_db(heard) - power_db(sound) < most_db


@pytest.mark.parametrize("hz", [500, 1_000, 3_000])
def test_a_telephone_keeps_its_band_but_for_its_steps(hz: float) -> None:
    sound = tone_of(hz)
    heard = Condition(is_telephone=True).apply(sound, seed=0)
    assert heard.size == sound.size
    assert pitch_hz(heard) == pytest.approx(hz, abs=2)
    assert power_db(heard) == pytest.approx(power_db(sound), abs=2)
    assert len(np.unique(heard)) <= 255  # 8 bits


def test_a_room_without_reflections_changes_nothing(tone: Samples, tmp_path: Path) -> None:
    path = tmp_path / "open.wav"
    soundfile.write(path, np.eye(1, 800)[0] * 0.9, 16_000)
    room = Condition(room=path).apply(tone, seed=0)
    np.testing.assert_allclose(room.astype(int), tone.astype(int), atol=2)


def test_speech_in_a_room_begins_with_its_direct_sound(tmp_path: Path) -> None:
    late = np.zeros(4_000)
    late[[2_000, 3_000]] = 0.9, 0.3  # arrives after 125 ms, and once more 62.5 ms later
    path = tmp_path / "hall.wav"
    soundfile.write(path, late, 16_000)
    click = np.zeros(4_000, np.int16)
    click[100] = 20_000
    heard = Condition(room=path).apply(click, seed=0).astype(int)
    assert np.flatnonzero(np.abs(heard) > 100).tolist() == [116, 1_116]  # a millisecond is kept
    assert heard[116] / heard[1_116] == pytest.approx(3, rel=1e-2)


@pytest.mark.parametrize("kbps", [8, 16, 32])
def test_opus_keeps_length_and_pitch(kbps: int, tone: Samples) -> None:
    coded = Condition(opus_kbps=kbps).apply(tone, seed=0)
    assert coded.size == tone.size
    assert pitch_hz(coded) == pytest.approx(500, abs=2)


def test_fewer_bits_keep_less(speech: Samples) -> None:
    part = speech[:64_000]
    errors = [
        power_db(Condition(opus_kbps=kbps).apply(part, seed=0).astype(int) - part)
        for kbps in (8, 32)
    ]
    assert errors[0] > errors[1] + 3


def test_a_speaker_always_has_the_same_virtual_voices(white: Path) -> None:
    around = Surroundings((white,), (white,))
    assert Voices(8, around).of("ravdess_01") == Voices(8, around).of("ravdess_01")
    assert Voices(8, around).of("ravdess_01")[1:] != Voices(8, around).of("ravdess_02")[1:]
    assert Voices(8, around).of("ravdess_01")[0] == AS_RECORDED


def test_virtual_voices_are_altered_in_every_way(white: Path) -> None:
    around = Surroundings((white,), (white,))
    drawn = [voice for n in range(20) for voice in Voices(11, around).of(f"home_{n}")[1:]]
    for altered in (
        [voice.speed != 1 for voice in drawn],
        [voice.tempo != 1 for voice in drawn],
        [voice.room == white for voice in drawn],
        [voice.noise == white for voice in drawn],
        [voice.gain_db != 0 for voice in drawn],
        [voice.is_telephone for voice in drawn],
        [voice.opus_kbps > 0 for voice in drawn],
    ):
        assert sum(altered) > 5
    assert any(not voice.is_telephone and not voice.opus_kbps for voice in drawn)


def test_without_surroundings_a_voice_is_in_no_room_and_no_noise() -> None:
    drawn = [voice for n in range(20) for voice in Voices(8).of(f"home_{n}")]
    assert {(voice.room, voice.noise) for voice in drawn} == {(None, None)}


def test_every_trial_has_a_name(white: Path) -> None:
    trials = Trials(Surroundings((white,), (white,)))
    assert len(trials.of("ravdess_01")) == len(Trials.NAMES)
    assert trials.of("ravdess_01")[0] == AS_RECORDED


def test_the_trials_of_gain_differ_from_the_first_by_gain_alone(white: Path) -> None:
    conditions = Trials(Surroundings((white,), (white,))).of("ravdess_01")
    for number in Trials.GAINS:
        condition = conditions[number]
        assert condition == Condition(gain_db=condition.gain_db)
        if condition.gain_db:
            assert Trials.NAMES[number] == f"gain {condition.gain_db:g} dB"
