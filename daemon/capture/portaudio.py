"""PortAudio: which input devices there are, and a stream of one of them.

PortAudio can hang in any call when the sound server does. So each is made in a thread that can be
abandoned; after that the library must not be called any more, and the process has to end. It takes
no two calls at a time either, so several microphones take turns.
"""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.ring import Ring
from affectd.daemon.capture.source import BLOCK_S
from affectd.daemon.errors import AudioHangsError, DeviceError
from affectd.daemon.speech.vad import RATE_HZ

RING_S: Final = 10.0  # how far the service may fall behind before samples are lost
CARDS: Final = Path("/proc/asound/cards")
PATIENCE_S: Final = 10.0  # with a call into the audio library

_TURN: Final = threading.Lock()  # held by the one call that is made

T = TypeVar("T")


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
    """List the input devices. Raises DeviceError if PortAudio is missing or cannot tell."""
    sd = library()
    try:
        default, apis, found = sd.default.device[0], sd.query_hostapis(), sd.query_devices()
    except sd.PortAudioError as error:
        raise DeviceError(f"the microphones cannot be listed: {error.args[0]}") from error
    return [
        Device(
            index=index,
            name=str(info["name"]),
            host_api=str(apis[info["hostapi"]]["name"]),
            channels=int(info["max_input_channels"]),
            rate_hz=round(info["default_samplerate"]),
            is_default=index == default,
        )
        for index, info in enumerate(found)
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


def usual_rates_hz(device: Device) -> list[int]:
    """The rates to open a device at, the best first: ours, its own, and what most take."""
    return list(dict.fromkeys([RATE_HZ, device.rate_hz, 48_000, 44_100]))


class Stream:
    """An open device; a ring lies between its callback and the reader."""

    def __init__(self, device: Device, channel: int | None, rates_hz: Sequence[int]) -> None:
        """Open the device at the first of the rates that it takes.

        channel: that will be heard, from 1; None for all. Raises DeviceError if it takes none.
        """
        self.device = device
        self.rate_hz, self.channels = _format(device, channel, rates_hz)
        self.ring = Ring(round(RING_S * self.rate_hz), self.channels)
        self.ended = threading.Event()
        self.gave_way = False  # whether it was closed to look for devices
        self.overflows = 0  # that PortAudio has reported
        sd = library()
        try:
            self._stream = sd.InputStream(
                device=device.index,
                samplerate=self.rate_hz,
                blocksize=round(BLOCK_S * self.rate_hz),  # left to itself, 4 times as many wake up
                channels=self.channels,
                dtype="int16",
                callback=self._write,
                finished_callback=self.ended.set,
            )
        except sd.PortAudioError as error:
            raise self._refused(error) from error
        try:
            self._stream.start()
        except sd.PortAudioError as error:
            self._stream.close()
            raise self._refused(error) from error
        _OPEN.add(self)

    def close(self) -> None:
        """Close the device; safe to repeat."""
        if self not in _OPEN:
            return
        _OPEN.remove(self)
        self._stream.abort()  # stop() would wait for ever for a device that is silent
        self._stream.close()
        del self._stream
        gc.collect()  # sounddevice's stream and its callback hold each other, and so the ring

    def _refused(self, error: Exception) -> DeviceError:
        return DeviceError(f"the microphone {self.device.name!r} cannot be opened: {error.args[0]}")

    def _write(self, samples: NDArray[np.int16], _frames: int, _time: object, status: Any) -> None:
        self.ring.write(samples)
        self.overflows += status.input_overflow


_OPEN: Final[set[Stream]] = set()


def is_in_use() -> bool:
    """Whether a look for devices would close a stream."""
    return bool(_OPEN)


def _format(device: Device, channel: int | None, rates_hz: Sequence[int]) -> tuple[int, int]:
    """The rate and number of channels to open: the first of the rates and one, if it takes them."""
    if channel is not None and channel > device.channels:
        raise DeviceError(
            f"audio.channel is {channel}, but {device.name!r} has {device.channels} channel(s)"
        )
    problems = []
    for rate_hz in rates_hz:
        for channels in dict.fromkeys([channel or 1, device.channels]):
            if problem := _refusal(device, rate_hz, channels):
                problems.append(f"{rate_hz} Hz with {channels} channel(s): {problem}")
            else:
                return rate_hz, channels
    raise DeviceError(
        f"the microphone {device.name!r} cannot be opened ({'; '.join(problems)}); "
        "see whether another program holds it, and that this user is in the group audio"
    )


def _refusal(device: Device, rate_hz: int, channels: int) -> str | None:
    sd = library()
    try:
        sd.check_input_settings(device.index, channels, "int16", samplerate=rate_hz)
    except sd.PortAudioError as error:
        return str(error.args[0])
    return None


def refresh() -> None:
    """Let PortAudio look for devices again: it lists them once, when it starts.

    That closes all streams: they have `ended` and gave way, and are to be opened anew.
    Costs 0.1 s, and 12 KiB that are never freed where a sound server answers. Raises DeviceError.
    """
    for stream in tuple(_OPEN):
        stream.gave_way = True
        stream.close()
    sd = library()
    try:
        if sd._initialized:  # not if it failed the last time
            sd._terminate()
        sd._initialize()
    except sd.PortAudioError as error:
        raise DeviceError(f"the sound system cannot be looked at: {error.args[0]}") from error


def surroundings(environment: Mapping[str, str]) -> tuple[object, ...]:
    """What changes when a sound card or a sound server comes or goes; costs next to nothing."""
    runtime = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent"))
    server = environment.get("PULSE_SERVER", "").removeprefix("unix:")
    sockets = (runtime / "pulse" / "native", runtime / "pipewire-0", Path(server or "/nonexistent"))
    return (_text(CARDS), *map(_inode, sockets))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def bounded(call: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Make a call into the library when no other is made, but do not wait for ever.

    what: it does, for the error. Raises what the call raises, and AudioHangsError if it does not
    return in time: then the library is not called again, not even when this process ends.
    """
    returned: list[T] = []
    raised: list[BaseException] = []
    standard_error: list[int] = []

    def run() -> None:
        with _TURN:
            standard_error.append(os.dup(2))
            try:
                returned.append(call())
            except BaseException as error:
                raised.append(error)
            os.close(standard_error.pop())

    thread = threading.Thread(target=run, name="audio", daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive() and standard_error:  # sounddevice sends it to nowhere as PortAudio starts
        os.dup2(standard_error[0], 2)
    if raised:
        raise raised[0]
    if not returned:
        at_exit = getattr(sys.modules.get("sounddevice"), "_exit_handler", None)
        if at_exit is not None:
            atexit.unregister(at_exit)
        raise AudioHangsError(
            f"the sound system has not returned from {what} within {patience_s:g} s and cannot be "
            "used any more; see whether the sound server answers (`pactl info`), and start "
            "affectd again"
        )
    return returned[0]


def library() -> ModuleType:
    """PortAudio, which looks for devices when it is loaded.

    Raises DeviceError if it is missing, or fails at that.
    """
    try:
        import sounddevice
    except OSError as error:  # sounddevice's word for a missing library
        raise DeviceError(
            "the PortAudio library is missing; install it with `sudo apt install libportaudio2`"
        ) from error
    except Exception as error:  # PortAudioError, of the module that could not be loaded
        raise DeviceError(f"the sound system cannot be looked at: {error}") from error
    return sounddevice  # type: ignore[no-any-return]
