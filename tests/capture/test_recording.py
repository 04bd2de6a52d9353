import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.recording import Recording
from affectd.daemon.errors import RecordingError


def written(path: Path, samples: NDArray[np.generic], rate_hz: int, subtype: str) -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")],
)
def test_a_lossless_recording_is_heard_bit_by_bit(
    suffix: str, subtype: str, tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = written(tmp_path / f"a.{suffix}", speech / np.float32(32768), 16_000, subtype)
    np.testing.assert_array_equal(Recording(path).samples(), speech)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_recording_is_heard(subtype: str, tmp_path: Path, speech: NDArray[np.int16]) -> None:
    path = written(tmp_path / "a.ogg", speech / np.float32(32768), 16_000, subtype)
    heard = Recording(path).samples()
    assert np.corrcoef(heard, speech[: heard.size])[0, 1] > 0.95


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channels_become_16_khz_mono(channels: int, tmp_path: Path) -> None:
    time_s = np.arange(48_000) / 48_000
    sound = np.tile(0.5 * np.sin(2 * np.pi * 440 * time_s)[:, None], (1, channels))
    heard = Recording(written(tmp_path / "a.wav", sound, 48_000, "PCM_16")).samples()
    expected = 16384 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(heard[4_000:12_000], expected[4_000:12_000], atol=40)


def test_a_paced_recording_takes_its_own_time_and_gives_the_same_samples(
    tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = written(tmp_path / "a.wav", speech[:16_000], 16_000, "PCM_16")
    began = time.monotonic()
    blocks = [b.samples for b in Recording(path, fast=False).blocks(threading.Event())]
    assert time.monotonic() - began >= 0.99
    assert max(block.size for block in blocks) <= 480
    np.testing.assert_array_equal(np.concatenate(blocks), speech[:16_000])


def test_a_paced_recording_ends_when_told_to_stop(
    tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = written(tmp_path / "a.wav", speech, 16_000, "PCM_16")
    stop = threading.Event()
    blocks = Recording(path, fast=False).blocks(stop)
    next(blocks)
    stop.set()
    assert list(blocks) == []


def test_a_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"none\.wav cannot be read: No such file or directory; give the path"
    ):
        Recording(tmp_path / "none.wav")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match="cannot be read: Is a directory; give the path of a WAV"
    ):
        Recording(tmp_path)


def test_a_file_that_is_no_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("not audio")
    with pytest.raises(
        RecordingError, match=r"a\.wav is not audio that can be read \(.*\); give a WAV"
    ):
        Recording(path)


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.zeros(0, np.int16), 16_000, "PCM_16")
    with pytest.raises(RecordingError, match=r"a\.wav holds no samples; record it again"):
        Recording(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wrong=st.sampled_from([np.nan, np.inf, -np.inf]),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100, 192_000]),
    channels=st.integers(1, 8),
    data=st.data(),
)
def test_a_sample_that_is_no_number_is_refused_with_its_time(
    wrong: float, rate_hz: int, channels: int, data: st.DataObject, tmp_path: Path
) -> None:
    samples = np.zeros((2 * rate_hz, channels), np.float32)
    place = data.draw(st.integers(0, len(samples) - 1))
    samples[place:, data.draw(st.integers(0, channels - 1))] = wrong
    recording = Recording(written(tmp_path / "a.wav", samples, rate_hz, "FLOAT"))
    where = f"{place / rate_hz:.2f}".replace(".", r"\.")
    with pytest.raises(RecordingError, match=rf"sample that is not a finite number at {where} s;"):
        recording.samples()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate_hz=st.integers(8_000, 192_000), channels=st.integers(1, 8), data=st.data())
def test_a_recording_of_any_rate_and_channels_is_heard_as_its_samples_converted_at_once(
    rate_hz: int, channels: int, data: st.DataObject, tmp_path: Path
) -> None:
    channel = data.draw(st.none() | st.integers(1, channels))
    noise = np.random.default_rng(0).normal(0, 0.3, (round(1.3 * rate_hz), channels))
    sound = noise.astype(np.float32)
    converter = Converter(rate_hz, channel)
    expected = np.concatenate([converter.push(sound), converter.flush()])
    path = written(tmp_path / "a.wav", sound, rate_hz, "FLOAT")
    heard = Recording(path, channel=channel).samples()
    np.testing.assert_allclose(heard.astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize("rate_hz", [1, 3_999, 768_001, 2_147_483_647])
def test_a_rate_that_no_speech_is_recorded_at_is_refused(rate_hz: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.zeros(16_000, np.int16), rate_hz, "PCM_16")
    with pytest.raises(RecordingError, match=rf"a rate of {rate_hz} Hz, not between 4000 and"):
        Recording(path)


def test_a_truncated_recording_is_refused_or_heard_to_its_end(
    tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = written(tmp_path / "a.flac", speech, 16_000, "PCM_16")
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(RecordingError, match=r"a\.flac is damaged at \d+\.\d\d s"):
        Recording(path).samples()


@pytest.mark.parametrize("channel", [-1, 0, 2])
def test_a_channel_that_is_not_there_is_refused(
    channel: int, tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = written(tmp_path / "a.wav", speech, 16_000, "PCM_16")
    with pytest.raises(
        RecordingError, match=rf"audio.channel is {channel}, but .*a\.wav has 1 channel"
    ):
        Recording(path, channel=channel)
