"""A microphone that comes back: opened again, without end, whenever it is lost."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from affectd.daemon.capture.converter import Converter
from affectd.daemon.capture.lookout import Lookout
from affectd.daemon.capture.portaudio import (
    Stream,
    bounded,
    choose,
    devices,
    is_in_use,
    library,
    refresh,
    surroundings,
    usual_rates_hz,
)
from affectd.daemon.capture.source import BLOCK_S, CALM_BLOCK_S, Block, Hearing, State
from affectd.daemon.capture.watch import Watch
from affectd.daemon.errors import AudioHangsError, DeviceError
from affectd.daemon.events import Event, about
from affectd.daemon.speech.vad import FRAME, RATE_HZ
from affectd.daemon.wipe import wipe_kept_blocks

logger = logging.getLogger(__name__)

TURN_S: Final = 0.5  # at most between two blocks, if only empty ones
PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)  # before another attempt to open; the last one ever after
PAUSED: Final = "it was told not to listen"
MUTE: Final = (
    "it delivers nothing but silence; see whether it is muted, by a switch or in the mixer"
)
EVENTS: Final[dict[State, Event]] = {
    "listening": Event.LISTENING,
    "silent": Event.SILENT,
    "lost": Event.LOST,
    "paused": Event.PAUSED,
    "failed": Event.FAILED,
}
ENDED: Final = "the sound system has ended its stream"
GAVE_WAY: Final = "another microphone was looked for, which interrupts all"


class Microphone:
    """An input device as a source, chosen anew by its name whenever it is opened.

    pause(), resume() and hearing may be used from any thread.
    """

    def __init__(
        self,
        wanted: str | None,
        channel: int | None,
        paused: bool = False,
        lookout: Lookout | None = None,
        node: str = "",
    ) -> None:
        """wanted: a part of its name and host API (see choose); channel: which one, from 1.

        None hears the default device, and all channels mixed. paused: begin so. lookout: that of
        the other microphones of this process, if there are any. node: that hears it. Raises
        DeviceError if PortAudio is missing, and AudioHangsError if it does not return.
        """
        bounded(library, "looking for microphones")
        self._lookout = lookout or lookout_now()
        self._wanted, self._channel, self._node = wanted, channel, node
        self._heard = 0  # samples until now at 16 kHz, with those that were skipped
        self._heard_at = time.time()
        self._until_s = _now()  # until when all was heard
        self._lost_since_s: float | None = None
        self._rested_s = 0.0  # until when it was paused last
        self._strange: set[int] = set()  # rates at which the device delivered another one
        # Plain values, so that pause() may be called wherever it is: nothing waits for them.
        self.is_paused, self._pauses = paused, 0
        self.hearing = Hearing(
            "paused" if paused else "opening",
            PAUSED if paused else "",
            device=wanted or "the default microphone",
        )

    @property
    def name(self) -> str:
        """The device's name, or what is looked for until one was found."""
        return self.hearing.device

    @property
    def position(self) -> int:
        """Samples at 16 kHz until now, those included that were missed."""
        if self.hearing.state in ("listening", "silent"):
            return self._heard
        return self._heard + round((_now() - self._until_s) * RATE_HZ)

    def pause(self) -> None:
        """Close the device and forget what was not published yet; safe to repeat."""
        self.is_paused = True
        self._pauses += 1  # second: who has counted this one sees that it is paused

    def resume(self) -> None:
        """Listen again; safe to repeat."""
        self.is_paused = False

    def listen(self, may: bool) -> None:
        """Resume if it may be listened, else pause."""
        self.resume() if may else self.pause()

    def blocks(
        self, stop: threading.Event, is_calm: Callable[[], bool] = lambda: False
    ) -> Iterator[Block]:
        """Yield what is heard until stop is set, whatever becomes of the device.

        is_calm: whether it is enough to look seldom for what was heard.
        Raises AudioHangsError, and has failed, if the audio library does not return from a call.
        """
        try:
            yield from self._blocks(stop, is_calm)
        except AudioHangsError as error:
            self._tell("failed", str(error))
            raise

    def _blocks(self, stop: threading.Event, is_calm: Callable[[], bool]) -> Iterator[Block]:
        self._until_s = _now()
        failures = 0
        while not stop.is_set():
            pauses = self._pauses
            if self.is_paused:
                yield from self._rest(stop)
                failures = 0
                continue
            if failures:
                yield from self._wait(stop, PAUSES_S[min(failures, len(PAUSES_S)) - 1])
            if stop.is_set() or self.is_paused:
                continue
            try:
                stream = self._opened(failures)
            except AudioHangsError:
                raise
            except DeviceError as error:
                self._lose(str(error))
                failures += 1
                self._look_if_alone(failures)
                continue
            before = self._heard
            yield from self._listen(stream, pauses, stop, is_calm)
            failures = 1 if self._heard > before else failures + 1
            if self._pauses == pauses and not stream.gave_way and not stop.is_set():
                self._look_if_alone(failures)

    def _look_if_alone(self, failures: int) -> None:
        """After a first failure have devices looked for anew, if that interrupts nobody."""
        if failures == 1 and not is_in_use():
            self._lookout.lose()

    def time_of(self, sample: int) -> float:
        """When a sample was heard, counted back from the newest."""
        return self._heard_at - (self._heard - sample) / RATE_HZ

    def _opened(self, failures: int) -> Stream:
        """Open the device; look for devices again if there may be others than when it failed."""

        def call() -> Stream:
            in_vain = failures > 0 and not is_in_use()
            if self._lookout.is_due(surroundings(os.environ), _now(), in_vain):
                refresh()
            device = choose(devices(), self._wanted)
            rates_hz = usual_rates_hz(device)
            usual = [rate_hz for rate_hz in rates_hz if rate_hz not in self._strange]
            return Stream(device, self._channel, usual or rates_hz)

        stream = bounded(call, "opening the microphone")
        self.hearing = replace(
            self.hearing, device=stream.device.label, rate_hz=stream.rate_hz, drift_ppm=None
        )
        return stream

    def _listen(
        self, stream: Stream, pauses: int, stop: threading.Event, is_calm: Callable[[], bool]
    ) -> Iterator[Block]:
        """Yield blocks until the stream must be given up, and close it.

        pauses: so many were counted before it was opened; another one ends it.
        """
        converter, watch = Converter(stream.rate_hz, self._channel), Watch(stream.rate_hz, _now())
        overflows, turn_s = self.hearing.overflows, _now()
        reason: str | None = None
        try:
            while reason is None and self._pauses == pauses:
                if stop.wait(CALM_BLOCK_S if is_calm() else BLOCK_S):
                    break
                raw, now_s = stream.ring.read(), _now()
                # All alike: an amplifier behind a closed switch may leave an offset.
                wanted = raw if self._channel is None else raw[:, self._channel - 1]
                is_still = bool((wanted == wanted[:1]).all())
                reason = watch.push(now_s, len(raw), is_still)
                if stream.ended.is_set():
                    reason = GAVE_WAY if stream.gave_way else ENDED
                self.hearing = replace(
                    self.hearing,
                    overflows=overflows + stream.overflows,
                    drift_ppm=watch.drift_ppm,
                )
                if len(raw):
                    skipped = self._skipped(watch.reached_s, len(raw) / stream.rate_hz)
                    block = converter.push(raw.astype(np.float32) / 32768)
                    self._heard, self._heard_at = self._heard + block.size, time.time()
                    self._tell(*(("silent", MUTE) if watch.is_mute else ("listening", "")))
                    yield Block(block, skipped)
                    turn_s = now_s
                elif now_s - turn_s >= TURN_S:
                    yield Block()
                    turn_s = now_s
        finally:
            is_private = self._pauses != pauses
            bounded(stream.close, "closing the microphone")
            stream.ring.clear()
        if watch.is_strange:
            self._strange.add(stream.rate_hz)
        if reason is not None and not is_private:
            self._lose(reason)
        self._heard -= self._heard % FRAME  # the ear drops a part of a frame here, too
        if not stop.is_set():
            yield Block(is_last=True, is_private=is_private)

    def _skipped(self, reached_s: float, length_s: float) -> int:
        """Samples, whole frames of them, between what was heard before and the newest block."""
        began_s, until_s, self._until_s = reached_s - length_s, self._until_s, reached_s
        if self.hearing.state in ("listening", "silent"):
            return 0
        self._count_loss(began_s)
        skipped = round(max(0.0, began_s - until_s) * RATE_HZ / FRAME) * FRAME
        self._heard += skipped
        return skipped

    def _count_loss(self, until_s: float) -> None:
        """Add up what was lost until then, if something was."""
        if self._lost_since_s is not None:
            lost_s = self.hearing.lost_s + max(0.0, until_s - self._lost_since_s)
            self.hearing = replace(self.hearing, lost_s=lost_s)
        self._lost_since_s = None

    def _rest(self, stop: threading.Event) -> Iterator[Block]:
        """Hear nothing while paused, and keep nothing of what was heard before."""
        wipe_kept_blocks()
        self._count_loss(_now())
        self._tell("paused", PAUSED)
        while self.is_paused and not stop.is_set():
            yield from self._wait(stop, TURN_S)
        self._rested_s = _now()
        self._tell("opening", "")

    def _wait(self, stop: threading.Event, pause_s: float) -> Iterator[Block]:
        """Let time pass, until stop is set or pause() or resume() was called."""
        was_paused, end_s = self.is_paused, _now() + pause_s
        yield Block()
        while _now() < end_s and self.is_paused == was_paused and not stop.wait(CALM_BLOCK_S):
            pass

    def _lose(self, reason: str) -> None:
        if self._lost_since_s is None:
            self._lost_since_s = max(self._until_s, self._rested_s)
            self.hearing = replace(self.hearing, gaps=self.hearing.gaps + 1)
        self._tell("lost", reason)

    def _tell(self, state: State, reason: str) -> None:
        before = self.hearing
        if (before.state, before.reason) == (state, reason):
            return
        self.hearing = replace(before, state=state, reason=reason)
        level = logging.WARNING if state in ("lost", "silent") else logging.INFO
        extra = about(self._node, EVENTS.get(state))
        logger.log(
            level, "%s: %s%s", self.name, state, f" ({reason})" if reason else "", extra=extra
        )


def lookout_now() -> Lookout:
    """A lookout that begins now, for all microphones of this process."""
    return Lookout(surroundings(os.environ), _now())


def _now() -> float:
    return time.monotonic()
