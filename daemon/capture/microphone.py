"""A microphone through PortAudio, with a ring between its callback and the reader."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.ring import Ring
from affectd.daemon.errors import DeviceError
from affectd.daemon.speech.vad import RATE_HZ

logger = logging.getLogger(__name__)

RING_S: Final = 10.0  # how far the service may fall behind before samples are lost
POLL_S: Final = 0.03
DEAF_S: Final = 5.0  # without a sample for so long, the device is taken for lost


@dataclass(frozen=True, slots=True)
class Device:
    """An input device as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int  # its own
    is_default: bool

    @property
    def label(self) -> str:
        """Name and host API, which tell devices apart that have one name."""
        return f"{self.name}, {self.host_api}"


def devices() -> list[Device]:
    """List the input devices. Raises DeviceError if PortAudio is missing."""
    sd = _portaudio()
    default = sd.default.device[0]
    apis = sd.query_hostapis()
    return [
        Device(
            index=index,
            name=str(info["name"]),
            host_api=str(apis[info["hostapi"]]["name"]),
            channels=int(info["max_input_channels"]),
            rate_hz=round(info["default_samplerate"]),
            is_default=index == default,
        )
        for index, info in enumerate(sd.query_devices())
        if info["max_input_channels"] > 0
    ]


def choose(found: Sequence[Device], wanted: str | None) -> Device:
    """Pick the device whose label holds the wanted text, in any case; None wants the default one.

    A name or label that equals the text goes before labels that only hold it.
    Raises DeviceError if there is no device, or if no name or several names match.
    """
    if not found:
        raise DeviceError(
            "no microphone was found; plug one in and see that `arecord -l` or "
            "`pactl list short sources` lists it"
        )
    if wanted is None:
        return next((device for device in found if device.is_default), found[0])
    names = ", ".join(repr(device.label) for device in found)
    text = wanted.lower()
    exact = [device for device in found if text in (device.name.lower(), device.label.lower())]
    matching = exact or [device for device in found if text in device.label.lower()]
    if not matching:
        raise DeviceError(
            f"audio.device is {wanted!r}, which is in no microphone's name; there are {names}"
        )
    if len(matching) > 1:
        several = ", ".join(repr(device.label) for device in matching)
        raise DeviceError(
            f"audio.device is {wanted!r}, which is in the names of several microphones: "
            f"{several}; give more of the name"
        )
    return matching[0]


@dataclass(slots=True)
class _Counts:
    """What the callback counts."""

    overflows: int = 0  # gaps that PortAudio reported


class Microphone:
    """An input device as a source; opened by blocks(), closed when that ends."""

    def __init__(self, device: Device, channel: int | None) -> None:
        """channel: which one to hear, from 1; None mixes all. Raises DeviceError if it lacks it."""
        if channel is not None and channel > device.channels:
            raise DeviceError(
                f"audio.channel is {channel}, but {device.name!r} has {device.channels} channel(s)"
            )
        self._device, self._channel = device, channel
        self._heard = 0  # samples yielded, 16 kHz
        self._heard_at = time.time()
        self._told = (0, 0)  # losses that were logged

    @property
    def name(self) -> str:
        """The device's name."""
        return self._device.name

    def blocks(self, stop: threading.Event) -> Iterator[NDArray[np.int16]]:
        """Open the device and yield what it hears, mono, 16 kHz, until stop is set.

        Raises DeviceError if it cannot be opened, ends, or delivers nothing for 5 s.
        """
        rate_hz, channels = self._format()
        ring = Ring(round(RING_S * rate_hz), channels)
        converter = Converter(rate_hz, self._channel)
        ended, counts = threading.Event(), _Counts()
        with self._opened(rate_hz, channels, ring, ended, counts):
            last = time.monotonic()
            while not stop.wait(POLL_S):
                raw = ring.read()
                self._tell_losses(counts.overflows, ring.lost)
                if len(raw):
                    last = time.monotonic()
                    block = converter.push(raw.astype(np.float32) / 32768)
                    self._heard, self._heard_at = self._heard + block.size, time.time()
                    yield block
                elif ended.is_set() or time.monotonic() - last > DEAF_S:
                    raise DeviceError(
                        f"the microphone {self.name!r} has stopped delivering sound; "
                        "check its plug and the sound server, then start affectd again"
                    )

    def time_of(self, sample: int) -> float:
        """When a sample was heard, counted back from the newest."""
        return self._heard_at - (self._heard - sample) / RATE_HZ

    def _tell_losses(self, overflows: int, lost: int) -> None:
        if (overflows, lost) != self._told:
            self._told = (overflows, lost)
            logger.warning(
                "%s: the system dropped audio %d time(s) and affectd was too slow for %d sample(s) "
                "so far; other programs need the processor",
                self.name,
                overflows,
                lost,
            )

    def _format(self) -> tuple[int, int]:
        """The rate and number of channels to open: 16 kHz and one, if the device takes them."""
        every = self._device.channels
        wanted = list(dict.fromkeys([self._channel or 1, every]))
        problems = []
        for rate_hz in dict.fromkeys([RATE_HZ, self._device.rate_hz]):
            for channels in wanted:
                if problem := self._refusal(rate_hz, channels):
                    problems.append(f"{rate_hz} Hz with {channels} channel(s): {problem}")
                else:
                    return rate_hz, channels
        raise DeviceError(
            f"the microphone {self.name!r} cannot be opened ({'; '.join(problems)}); "
            "see whether another program holds it, and that this user is in the group audio"
        )

    def _refusal(self, rate_hz: int, channels: int) -> str | None:
        sd = _portaudio()
        try:
            sd.check_input_settings(self._device.index, channels, "int16", samplerate=rate_hz)
        except sd.PortAudioError as error:
            return str(error.args[0])
        return None

    @contextmanager
    def _opened(
        self, rate_hz: int, channels: int, ring: Ring, ended: threading.Event, counts: "_Counts"
    ) -> Iterator[None]:
        sd = _portaudio()

        def write(samples: NDArray[np.int16], _frames: int, _time: object, status: Any) -> None:
            ring.write(samples)
            counts.overflows += status.input_overflow

        try:
            stream = sd.InputStream(
                device=self._device.index,
                samplerate=rate_hz,
                channels=channels,
                dtype="int16",
                callback=write,
                finished_callback=ended.set,
            )
            stream.start()
        except sd.PortAudioError as error:
            raise DeviceError(
                f"the microphone {self.name!r} cannot be opened: {error.args[0]}"
            ) from error
        try:
            yield
        finally:
            stream.abort()  # stop() would wait for ever for a device that is silent
            stream.close()


def _portaudio() -> ModuleType:
    try:
        import sounddevice
    except OSError as error:  # sounddevice's word for a missing library
        raise DeviceError(
            "the PortAudio library is missing; install it with `sudo apt install libportaudio2`"
        ) from error
    return sounddevice  # type: ignore[no-any-return]
