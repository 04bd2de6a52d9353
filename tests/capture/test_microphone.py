import pytest

from affectd.daemon.capture.microphone import Device, Microphone, choose
from affectd.daemon.errors import DeviceError


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


def test_a_name_that_matches_none_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(DeviceError, match=r"'blue', which is in no .*'HDA Intel: Analog', 'Yeti"):
        choose(FOUND, "blue")


def test_a_name_that_matches_several_is_an_error_that_lists_them() -> None:
    with pytest.raises(DeviceError, match="several microphones: 'USB 1', 'USB 2'; give more"):
        choose([device("USB 1"), device("USB 2"), device("Line")], "usb")


def test_a_channel_that_the_device_lacks_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"audio.channel is 3, but 'Line' has 2 channel\(s\)"):
        Microphone(device("Line", channels=2), channel=3)
