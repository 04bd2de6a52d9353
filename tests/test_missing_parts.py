"""What is not installed is named, with the command that installs it."""

import sys

import pytest

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.portaudio import devices
from affectd.daemon.emotion.classifier import RUNTIMES, Classifier
from affectd.daemon.errors import BrokerError, BundleError, DeviceError
from affectd.daemon.publish.broker import EmbeddedBroker


def test_the_embedded_broker_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(BrokerError, match=r"needs amqtt; install it with `pip install 'affectd\["):
        EmbeddedBroker(0)


def test_resampling_names_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(
        DeviceError, match="48000 Hz must be resampled to 16000 Hz, which needs soxr"
    ):
        Converter(48_000, None)


def test_the_networks_name_their_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    for runtime in RUNTIMES:
        monkeypatch.setitem(sys.modules, f"{runtime}.interpreter", None)
    with pytest.raises(
        BundleError, match="no TensorFlow Lite runtime is installed; install ai-edge"
    ):
        Classifier()


def test_a_missing_portaudio_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLibrary:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    with pytest.raises(DeviceError, match="install it with `sudo apt install libportaudio2`"):
        devices()
