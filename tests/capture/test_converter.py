import numpy as np
import pytest
from hypothesis import given, settings
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


@settings(max_examples=40)
@given(
    rate_hz=st.one_of(st.sampled_from(RATES), st.integers(8_000, 192_000)),
    channels=st.integers(1, 8),
    sizes=st.lists(st.one_of(st.integers(1, 600), st.integers(1, 65_536)), max_size=30),
    data=st.data(),
)
def test_any_rate_channels_and_block_sizes_give_the_same_as_one_block(
    rate_hz: int, channels: int, sizes: list[int], data: st.DataObject
) -> None:
    channel = data.draw(st.none() | st.integers(1, channels))
    noise = np.random.default_rng(0).normal(0, 0.3, (round(1.2 * rate_hz), channels))
    sound = noise.astype(np.float32)
    whole, pieces = Converter(rate_hz, channel), Converter(rate_hz, channel)
    expected = np.concatenate([whole.push(sound), whole.flush()])
    heard = [pieces.push(block) for block in np.split(sound, np.cumsum(sizes))]
    assert expected.size == pytest.approx(1.2 * 16_000, abs=2)
    np.testing.assert_allclose(
        np.concatenate([*heard, pieces.flush()]).astype(int), expected.astype(int), atol=1
    )


@settings(max_examples=40)
@given(
    rate_hz=st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    hz=st.floats(50, 3_000),
    data=st.data(),
)
def test_a_tone_in_any_channel_at_any_rate_stays_that_tone(
    rate_hz: int, channels: int, hz: float, data: st.DataObject
) -> None:
    channel = data.draw(st.none() | st.integers(1, channels))
    place = (channel or data.draw(st.integers(1, channels))) - 1
    sound = np.zeros((round(0.5 * rate_hz), channels), np.float32)
    sound[:, place] = tone(rate_hz, hz, 0.5)[:, 0]
    converter = Converter(rate_hz, channel)
    heard = np.concatenate([converter.push(sound), converter.flush()])
    share = 1 if channel else 1 / channels
    expected = share * tone(16_000, hz, 0.5)[2_000:6_000, 0]
    np.testing.assert_allclose(heard[2_000:6_000] / 32768, expected, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [4_000, 352_800, 384_000, 768_000])
def test_rates_that_few_devices_have_are_converted_too(rate_hz: int) -> None:
    converter = Converter(rate_hz, None)
    heard = np.concatenate([converter.push(tone(rate_hz, 1000)), converter.flush()])
    expected = tone(16_000, 1000)[4_000:12_000, 0]
    np.testing.assert_allclose(heard[4_000:12_000] / 32768, expected, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [-1, 0, 1, 3_999, 768_001])
def test_rates_beyond_them_are_refused(rate_hz: int) -> None:
    with pytest.raises(ValueError, match=rf"{rate_hz} Hz is not between 4000 and 768000 Hz"):
        Converter(rate_hz, None)


@pytest.mark.parametrize("channel", [0, -1])
def test_channels_before_the_first_are_refused(channel: int) -> None:
    with pytest.raises(ValueError, match=f"counted from 1, there is none of number {channel}"):
        Converter(16_000, channel)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_absurdly_loud_samples_are_clipped_in_any_mix(rate_hz: int) -> None:
    block = np.full((4_800, 8), 3e38, np.float32)
    heard = Converter(rate_hz, None).push(block)
    assert set(heard[200:-200].tolist()) == {32767}


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
