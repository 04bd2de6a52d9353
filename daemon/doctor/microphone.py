"""The microphone of each node: is it there, does it open, and what does it hear?

What is heard stays in memory and is overwritten when it is measured.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.portaudio import (
    Device,
    Stream,
    bounded,
    choose,
    devices,
    library,
    usual_rates_hz,
)
from affectd.daemon.capture.watch import STARTS_S, Watch
from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.doctor.hearing import judge, measure
from affectd.daemon.doctor.holder import holders
from affectd.daemon.errors import AudioHangsError, DeviceError
from affectd.daemon.settings import Settings, pause_path
from affectd.daemon.speech.vad import FRAME

POLL_S: Final = 0.03
PROC: Final = Path("/proc")


def check(case: Case) -> Iterator[Finding]:
    """Open the microphones of all nodes that are not paused, and hear them together."""
    nodes = []
    for node in case.settings.nodes():
        if (kept := _kept_shut(case, node)) is None:
            nodes.append(node)
        else:
            yield kept
    if nodes:
        try:
            yield from _hear(case, nodes)
        except AudioHangsError as error:
            yield wrong("microphone", Problem.SOUND_SERVER_HANGS, str(error))


def _kept_shut(case: Case, node: Settings) -> Finding | None:
    """Why a microphone must not be opened, if it must not."""
    path = pause_path(node, case.environment)
    try:
        path.lstat()
    except PermissionError:
        message = f"whether it is paused cannot be told: {path.parent} is closed to this user"
        problem = Problem.NOT_PERMITTED
    except OSError:
        return None
    else:
        message, problem = (
            "it is paused, so its microphone is not opened",
            Problem.MICROPHONE_PAUSED,
        )
    return wrong("microphone", problem, case.of_node(node.node, message), node=node.node)


def _hear(case: Case, nodes: Sequence[Settings]) -> Iterator[Finding]:
    """Raises AudioHangsError."""
    try:
        bounded(library, "loading the sound system")
        found = bounded(devices, "looking for microphones")
    except AudioHangsError:
        raise
    except DeviceError as error:
        yield wrong("microphone", Problem.SOUND_LIBRARY_MISSING, str(error))
        return
    ears = []
    for node in nodes:
        opened = _opened(case, node, found)
        if isinstance(opened, Finding):
            yield opened
        else:
            ears.append(opened)
    _listen(case, ears)
    for ear in ears:
        bounded(ear.stream.close, "closing a microphone")
        ear.stream.ring.clear()
    for ear in ears:
        yield from _judged(case, ear)


@dataclass(slots=True)
class _Ear:
    """An open microphone and what it has delivered."""

    node: Settings
    stream: Stream
    opened_s: float = field(default_factory=time.monotonic)
    blocks: list[NDArray[np.int16]] = field(default_factory=list)  # mono, 16 kHz
    began_s: float | None = None  # when the first samples came
    trouble: str | None = None  # why the service would open it anew

    def __post_init__(self) -> None:
        """Prepare to follow it as the service does."""
        self.watch = Watch(self.stream.rate_hz, self.opened_s)
        self.converter = Converter(self.stream.rate_hz, self.node.audio.channel)

    watch: Watch = field(init=False)
    converter: Converter = field(init=False)

    def hear(self) -> None:
        """Take what has come."""
        raw, now_s = self.stream.ring.read(), time.monotonic()
        self.trouble = self.trouble or self.watch.push(now_s, len(raw), is_still=False)
        if self.stream.ended.is_set():
            self.trouble = self.trouble or "the sound system has ended its stream"
        if len(raw):
            self.began_s = self.began_s or now_s
            self.blocks.append(self.converter.push(raw.astype(np.float32) / 32768))

    def is_done(self, listen_s: float) -> bool:
        """Whether enough was heard, or nothing will come."""
        now_s = time.monotonic()
        if self.began_s is None:
            return self.trouble is not None or now_s - self.opened_s > STARTS_S
        return self.stream.ended.is_set() or now_s - self.began_s >= listen_s


def _opened(case: Case, node: Settings, found: Sequence[Device]) -> _Ear | Finding:
    """A node's microphone, or why there is none. Raises AudioHangsError."""
    problem = Problem.MICROPHONE_NOT_FOUND if found else Problem.MICROPHONE_ABSENT
    try:
        device = choose(found, node.audio.device)
        problem = Problem.MICROPHONE_UNUSABLE
        rates_hz = usual_rates_hz(device)
        stream = bounded(
            lambda: Stream(device, node.audio.channel, rates_hz), "opening a microphone"
        )
        return _Ear(node, stream)
    except AudioHangsError:
        raise
    except DeviceError as error:
        message = str(error) if found else "no microphone was found"
    wanted = (node.audio.device or "").lower()
    for holder in holders(PROC):
        if wanted in holder.label.lower():
            is_own = "affectd" in holder.program
            problem = Problem.MICROPHONE_IN_USE if is_own else Problem.MICROPHONE_BUSY
            who = "the running affectd" if is_own else holder.program
            message = f"{who} (process {holder.process}) holds {holder.label}"
            break
    return wrong("microphone", problem, case.of_node(node.node, message), node=node.node)


def _listen(case: Case, ears: Sequence[_Ear]) -> None:
    """Hear all that are open for listen_s from their first samples."""
    left = list(ears)
    end_s = time.monotonic() + case.listen_s
    while left:
        time.sleep(POLL_S)
        for ear in left:
            ear.hear()
        left = [ear for ear in left if not ear.is_done(case.listen_s)]
        left_s = max(0.0, end_s - time.monotonic())
        case.tell(f"listening for {left_s:.0f} s: say something")


def _judged(case: Case, ear: _Ear) -> Iterator[Finding]:
    """What is found of one that was open."""
    name, device = ear.node.node, ear.stream.device.label
    samples = np.concatenate([*ear.blocks, np.empty(0, np.int16)])
    for block in ear.blocks:
        block[:] = 0
    facts: dict[str, Any] = {"node": name, "device": device, "rate_hz": ear.stream.rate_hz}

    def found(problem: Problem, message: str) -> Finding:
        return wrong("microphone", problem, case.of_node(name, f"{device}: {message}"), **facts)

    if samples.size < FRAME:
        yield found(Problem.MICROPHONE_DEAF, ear.trouble or "it delivered nothing")
        return
    heard = measure(samples, ear.node.speech.vad_mode)
    samples[:] = 0
    facts |= asdict(heard) | {"overflows": ear.stream.overflows}
    problems = [found(problem, message) for problem, message in judge(heard)]
    if ear.trouble is not None:
        problems.insert(0, found(Problem.MICROPHONE_FALTERS, ear.trouble))
    if all(problem.state == "skipped" for problem in problems):
        told = f"{device} at {ear.stream.rate_hz} Hz, {_told(heard.level_dbfs, heard.floor_dbfs)}"
        if heard.speech_dbfs is not None:
            told += f", speech at {heard.speech_dbfs:.0f} dBFS"
        yield well("microphone", case.of_node(name, told), **facts)
    yield from problems


def _told(level_dbfs: float, floor_dbfs: float) -> str:
    return f"{level_dbfs:.0f} dBFS, at its quietest {floor_dbfs:.0f}"
