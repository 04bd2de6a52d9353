import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.capture import microphone, portaudio
from affectd.daemon.capture.microphone import Microphone
from affectd.daemon.capture.portaudio import Device, Stream, bounded, choose
from affectd.daemon.capture.source import Block
from affectd.daemon.errors import AudioHangsError, DeviceError


def device(name: str, is_default: bool = False, channels: int = 1) -> Device:
    return Device(0, name, "ALSA", channels, 48_000, is_default)


FOUND = [device("HDA Intel: Analog"), device("Yeti Stereo Microphone", is_default=True)]


def test_the_default_device_is_heard_if_none_is_wanted() -> None:
    assert choose(FOUND, None).name == "Yeti Stereo Microphone"


def test_the_first_device_is_heard_if_none_is_the_default() -> None:
    assert choose([device("a"), device("b")], None).name == "a"


def test_a_device_is_found_by_a_part_of_its_name_in_any_case() -> None:
    assert choose(FOUND, "hda intel").name == "HDA Intel: Analog"


def test_a_name_that_equals_goes_before_names_that_only_hold_it() -> None:
    assert choose([device("USB Mic 2"), device("USB Mic")], "usb mic").name == "USB Mic"


def test_no_device_at_all_is_an_error_with_a_remedy() -> None:
    with pytest.raises(DeviceError, match="no microphone was found; plug one in"):
        choose([], None)


def test_devices_of_one_name_are_told_apart_by_their_host_api() -> None:
    alsa = device("Mic")
    jack = replace(alsa, host_api="JACK")
    assert choose([alsa, jack], "mic, jack") == jack
    with pytest.raises(DeviceError, match="several microphones: 'Mic, ALSA', 'Mic, JACK'"):
        choose([alsa, jack], "mic")


def test_a_name_that_matches_none_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(
        DeviceError, match=r"'blue', which is in no .*'HDA Intel: Analog, ALSA', 'Yeti"
    ):
        choose(FOUND, "blue")


def test_a_name_that_matches_several_is_an_error_that_lists_them() -> None:
    with pytest.raises(
        DeviceError, match="several microphones: 'USB 1, ALSA', 'USB 2, ALSA'; give more"
    ):
        choose([device("USB 1"), device("USB 2"), device("Line")], "usb")


class Choosy:
    """Stands for PortAudio with a device that takes 48 kHz and two channels alone."""

    class PortAudioError(Exception):
        pass

    def __init__(self, sound: NDArray[np.int16]) -> None:
        self._sound = sound
        self._status = SimpleNamespace(input_overflow=False)
        self.closed = False

    def check_input_settings(self, _: int, channels: int, dtype: str, samplerate: int) -> None:
        if (channels, dtype, samplerate) != (2, "int16", 48_000):
            raise self.PortAudioError(f"Invalid sample rate or channels: {samplerate}, {channels}")

    def InputStream(  # noqa: N802
        self, callback: Callable[..., None], finished_callback: Callable[[], None], **_: Any
    ) -> "Choosy":
        self._callback, self.finish = callback, finished_callback
        return self

    _initialized = True

    def _exit_handler(self) -> None:
        pass

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        pass

    def start(self) -> None:
        for block in np.array_split(self._sound, 100):
            self._callback(block, len(block), None, self._status)

    def abort(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def choosy(monkeypatch: pytest.MonkeyPatch) -> Choosy:
    time = np.arange(48_000) / 48_000
    left = 16_384 * np.sin(2 * np.pi * 440 * time)
    sound = np.stack([left, np.zeros_like(left)], axis=1).astype(np.int16)
    audio = Choosy(sound)
    monkeypatch.setattr(portaudio, "library", lambda: audio)
    monkeypatch.setattr(microphone, "library", lambda: audio)
    monkeypatch.setattr(microphone, "devices", lambda: [device("Choosy", channels=2)])
    return audio


def first_block(source: Microphone) -> NDArray[np.int16]:
    blocks = source.blocks(threading.Event())
    block = next(block.samples for block in blocks if block.samples.size)
    blocks.close()  # type: ignore[attr-defined]
    return block


@pytest.mark.parametrize(("channel", "amplitude"), [(None, 8_192), (1, 16_384), (2, 0)])
def test_a_device_that_refuses_16_khz_is_opened_at_its_own_rate_and_resampled(
    choosy: Choosy, channel: int | None, amplitude: int
) -> None:
    heard = first_block(Microphone("choosy", channel))
    expected = amplitude * np.sin(2 * np.pi * 440 * np.arange(heard.size) / 16_000)
    assert 15_000 < heard.size <= 16_000
    np.testing.assert_allclose(heard[2_000:-2_000], expected[2_000:-2_000], atol=40)


def test_audio_that_the_system_dropped_is_counted(choosy: Choosy) -> None:
    choosy._status.input_overflow = True
    source = Microphone(None, None)
    first_block(source)
    assert source.hearing.overflows == 100


def test_the_device_is_closed_when_nobody_listens_any_more(choosy: Choosy) -> None:
    first_block(Microphone(None, None))
    assert choosy.closed


def test_a_device_that_takes_nothing_is_an_error_that_says_what_was_tried(choosy: Choosy) -> None:
    with pytest.raises(DeviceError, match=r"16000 Hz with 1 channel\(s\).*48000 Hz with 1.*group"):
        Stream(device("Choosy", channels=1), None, [16_000, 48_000])


def test_a_channel_that_the_device_lacks_is_an_error(choosy: Choosy) -> None:
    with pytest.raises(DeviceError, match=r"audio.channel is 3, but 'Line' has 2 channel\(s\)"):
        Stream(device("Line", channels=2), 3, [16_000])


def until(source: Microphone, state: str) -> list[Block]:
    """What a microphone yields until it is in a state."""
    taken = []
    for block in source.blocks(threading.Event()):
        taken.append(block)
        if source.hearing.state == state:
            break
    return taken


def test_a_device_that_is_not_there_is_looked_for(
    choosy: Choosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[Device] = []
    monkeypatch.setattr(microphone, "devices", lambda: there)
    monkeypatch.setattr(microphone, "refresh", lambda: there.append(device("Choosy", channels=2)))
    source = Microphone("choosy", None)
    until(source, "lost")
    assert "no microphone was found" in source.hearing.reason
    taken = until(source, "listening")
    assert taken[-1].samples.size
    assert source.hearing.gaps == 1


def test_a_device_that_is_renumbered_is_found_by_its_name(
    choosy: Choosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    plain = choosy.InputStream

    def opening(device: int, **rest: Any) -> Choosy:
        opened.append(device)
        return plain(**rest)

    monkeypatch.setattr(choosy, "InputStream", opening)
    wanted, other = device("Choosy", channels=2), device("Line", is_default=True, channels=2)
    found = [replace(wanted, index=3), replace(other, index=4)]
    monkeypatch.setattr(microphone, "devices", lambda: found)
    source = Microphone("choosy", None)
    blocks = source.blocks(threading.Event())
    next(block for block in blocks if block.samples.size)
    found[:] = [replace(other, index=3), replace(wanted, index=7)]
    choosy.finish()
    next(block for block in blocks if block.is_last)
    next(block for block in blocks if block.samples.size)
    assert opened == [3, 7]
    assert source.hearing.device == "Choosy, ALSA"
    assert source.hearing.gaps == 1


def test_what_was_missed_is_skipped_in_whole_frames(choosy: Choosy) -> None:
    source = Microphone(None, None)
    blocks = source.blocks(threading.Event())
    heard = next(block for block in blocks if block.samples.size).samples.size
    choosy.finish()
    assert next(block for block in blocks if block.is_last).is_private is False
    again = next(block for block in blocks if block.samples.size)
    assert again.skipped % 480 == 0
    assert source.hearing.state == "listening"
    newest = heard - heard % 480 + again.skipped + again.samples.size
    assert source.time_of(newest) == source._heard_at


def test_a_paused_microphone_is_closed_and_what_was_spoken_forgotten(choosy: Choosy) -> None:
    source = Microphone(None, None)
    blocks = source.blocks(threading.Event())
    next(block for block in blocks if block.samples.size)
    source.pause()
    assert next(block for block in blocks if block.is_last).is_private
    assert choosy.closed
    next(blocks)
    assert source.hearing.state == "paused"
    source.resume()
    assert next(block for block in blocks if block.samples.size)
    assert source.hearing.lost_s == 0
    assert source.hearing.gaps == 0


def test_a_pause_that_ends_while_the_device_closes_is_private_all_the_same(
    choosy: Choosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Microphone(None, None)
    blocks = source.blocks(threading.Event())
    next(block for block in blocks if block.samples.size)
    source.pause()
    monkeypatch.setattr(choosy, "close", source.resume)
    assert next(block for block in blocks if block.is_last).is_private


def test_a_pause_while_the_device_opens_is_noticed(
    choosy: Choosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Microphone(None, None)
    blocks = source.blocks(threading.Event())

    def pause_and_list() -> list[Device]:
        source.pause()
        return [device("Choosy", channels=2)]

    monkeypatch.setattr(microphone, "devices", pause_and_list)
    first = next(blocks)
    assert first.is_private
    assert not first.samples.size
    assert choosy.closed


def test_a_microphone_may_begin_paused(choosy: Choosy) -> None:
    source = Microphone(None, None, paused=True)
    assert source.hearing.state == "paused"
    assert not next(source.blocks(threading.Event())).samples.size


def test_a_call_that_hangs_is_abandoned_with_an_error(choosy: Choosy) -> None:
    hangs = threading.Event()
    with pytest.raises(AudioHangsError, match=r"not returned from opening within 0\.05 s"):
        bounded(hangs.wait, "opening", 0.05)
    hangs.set()


def test_time_is_counted_back_from_the_newest_sample(choosy: Choosy) -> None:
    source = Microphone(None, None)
    heard = first_block(source).size
    assert source.time_of(heard) - source.time_of(0) == pytest.approx(heard / 16_000)
