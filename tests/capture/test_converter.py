import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectd.daemon.capture.converter import Converter

RATES = [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000]


def tone(rate_hz: int, hz: float, seconds: float = 1.0) -> NDArray[np.float32]:
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.asarray(0.5 * np.sin(2 * np.pi * hz * time), dtype=np.float32)[:, None]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_resampled_is_that_tone(rate_hz: int) -> None:
    converter = Converter(rate_hz, None)
    heard = np.concatenate([converter.push(tone(rate_hz, 1000)), converter.flush()])
    assert heard.size == pytest.approx(16_000, abs=2)
    middle = heard[4_000:12_000] / 32768
    expected = tone(16_000, 1000)[4_000:12_000, 0]
    np.testing.assert_allclose(middle, expected, atol=2e-3)


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    heard = Converter(48_000, None).push(tone(48_000, 12_000))
    assert np.abs(heard[2_000:-2_000]).max() < 33  # -60 dBFS


@given(sizes=st.lists(st.integers(1, 5_000), max_size=30))
def test_resampling_is_the_same_for_any_block_sizes(sizes: list[int]) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (20_000, 1)).astype(np.float32)
    whole, pieces = Converter(44_100, None), Converter(44_100, None)
    expected = np.concatenate([whole.push(sound), whole.flush()])
    heard = [pieces.push(block) for block in np.split(sound, np.cumsum(sizes))]
    np.testing.assert_allclose(
        np.concatenate([*heard, pieces.flush()]).astype(int), expected.astype(int), atol=1
    )


def test_audio_at_16_khz_is_left_as_it_is() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int16)
    as_float = (samples / np.float32(32768))[:, None]
    np.testing.assert_array_equal(Converter(16_000, None).push(as_float), samples)


def test_channels_are_mixed_to_their_mean() -> None:
    block = np.array([[0.5, 0.25, 0.0]], np.float32)
    assert Converter(16_000, None).push(block).tolist() == [8192]


def test_one_channel_is_picked_by_its_number_from_one() -> None:
    block = np.array([[0.5, 0.25, 0.0]], np.float32)
    assert Converter(16_000, 2).push(block).tolist() == [8192]


def test_samples_beyond_full_scale_are_clipped() -> None:
    block = np.array([[2.0], [-2.0]], np.float32)
    assert Converter(16_000, None).push(block).tolist() == [32767, -32768]
