"""The wiring: source -> ear -> classifier, beside the voice -> mood -> publishers."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectd import __version__
from affectd.daemon.capture.source import Block, Hearing, Source
from affectd.daemon.control import Control
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.decision import Reading
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.monitor import Monitor, MonitorSpec
from affectd.daemon.emotion.mood import Mood, MoodSpec, MoodState
from affectd.daemon.emotion.voice import Voice
from affectd.daemon.events import about
from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    Probabilities,
    UtteranceMessage,
    iso,
)
from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.level import QualitySpec, clipped_share, flaws, level_dbfs, snr_db
from affectd.daemon.speech.presence import Presence, PresenceSpec
from affectd.daemon.speech.vad import RATE_HZ

logger = logging.getLogger(__name__)

DIGITS: Final = 6  # behind the point of what is published
HEALTH_S: Final = 60.0


class Publisher(Protocol):
    """Where readings, moods and speech go."""

    def utterance(self, message: UtteranceMessage) -> None:
        """Take one reading."""

    def mood(self, message: MoodMessage) -> None:
        """Take the mood, after each reading of speech and at the start."""

    def speech(self, is_speaking: bool) -> None:
        """Take whether someone is speaking, at each change and at the start."""

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Take what was read of an utterance, whether it is published or not."""

    def health(self, message: HealthMessage) -> None:
        """Take how the node is doing, at each change of what it hears and every HEALTH_S."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What follows from speech and readings over time."""

    presence: Presence = field(default_factory=lambda: Presence(PresenceSpec()))
    mood: Mood = field(default_factory=lambda: Mood(MoodSpec()))
    monitor: Monitor = field(default_factory=lambda: Monitor(MonitorSpec()))
    quality: QualitySpec = field(default_factory=QualitySpec)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Readings that did not reach the broker."""

    pending: int = 0  # that are kept for it
    expired: int = 0  # that were dropped in the end


NO_BACKLOG: Final = Backlog()


class Service:
    """Listens to one source until it ends or is told to stop."""

    def __init__(
        self,
        node: str,
        source: Source,
        ear: Ear,
        classifier: Classifier,
        voice: Voice,
        decisions: Decisions,
        publishers: Sequence[Publisher],
        control: Control | None = None,
        backlog: Callable[[], Backlog] = lambda: NO_BACKLOG,
        on_heard: Callable[[NDArray[np.int16], bool], None] = lambda *_: None,
    ) -> None:
        """control: what is told to the node while it runs; backlog: what the broker has not had.

        on_heard: is called with each block of samples, and whether some of them are voiced.
        """
        self._node, self._control, self._backlog = node, control or Control(), backlog
        self._on_heard = on_heard
        self._source = source
        self._ear = ear
        self._classifier = classifier
        self._voice = voice
        self._presence, self._mood = decisions.presence, decisions.mood
        self._monitor, self._quality = decisions.monitor, decisions.quality
        self._publishers = publishers
        self._is_hearing = self._is_speaking = False
        self._since = (-1, "")  # sample and time at which the mood began
        self._began_s = time.monotonic()
        self._told: tuple[Any, float] | None = None  # of the newest health, and when
        self._readings = self._dropped = 0
        self._inference_ms: float | None = None

    def run(
        self, stop: threading.Event, on_turn: Callable[[Hearing], None] = lambda _: None
    ) -> None:
        """Listen until the source ends or stop is set. Raises what the source raises.

        on_turn: is called when samples have gone through, with a microphone at least every 0.5 s.
        """
        self._publish_mood(self._mood.state)
        self._publish_speech()
        self._follow_health()
        try:
            for block in self._source.blocks(stop, lambda: not self._ear.is_stirring):
                self._take(block)
                on_turn(self._source.hearing)
            if not stop.is_set():
                self._take(Block(is_last=True))
        finally:
            if self._is_speaking:
                self._is_speaking = False
                self._publish_speech()
            self._told = None  # so that the newest counts are told
            self._follow_health()

    def _take(self, block: Block) -> None:
        """Hear a block and publish what follows; no utterance is held on to after that."""
        arrived = time.perf_counter()
        if block.samples.size and not self._is_hearing:
            self._is_hearing = True
            logger.info("hearing %s", self._source.name, extra=about(self._node))
        self._ear.skip(block.skipped)
        is_voiced = False
        for heard in self._ear.push(block.samples):
            is_voiced = is_voiced or self._ear.is_voiced
            self._follow_speech(self._ear.is_speaking)
            if heard is not None:
                self._publish(heard, arrived)
        if block.is_private:
            self._ear.forget()
            self._classifier.forget()
        elif block.is_last and (cut := self._ear.flush()) is not None:
            self._publish(cut, arrived)
        if block.is_last:
            self._presence.end()
            self._follow_speech(False)
        if self._mood.rest(self._source.position):
            self._publish_mood(self._mood.state)
        if self._control.take_reset():
            self._voice.forget()
        self._follow_health()
        self._on_heard(block.samples, is_voiced)

    def _follow_speech(self, is_speaking: bool) -> None:
        is_speaking = self._presence.push(is_speaking, self._ear.position)
        if is_speaking != self._is_speaking:
            self._is_speaking = is_speaking
            self._publish_speech()

    def _follow_health(self) -> None:
        hearing, control, now_s = self._source.hearing, self._control, time.monotonic()
        is_quiet, diagnoses = control.quiet_s > 0, control.diagnoses_s > 0
        state = (hearing.state, hearing.reason, bool(self._monitor.warning))
        news = (*state, control.rules, is_quiet, diagnoses, self._voice.utterances == 0)
        if self._told is not None and self._told[0] == news and now_s - self._told[1] < HEALTH_S:
            return
        self._told = (news, now_s)
        message = self._health(hearing, now_s)
        for publisher in self._publishers:
            publisher.health(message)

    def _health(self, hearing: Hearing, now_s: float) -> HealthMessage:
        rules, backlog = self._control.rules, self._backlog()
        usual = self._classifier.calibration.threshold
        return HealthMessage(
            node=self._node,
            listening=hearing.state,
            reason=hearing.reason,
            device=hearing.device,
            rate_hz=hearing.rate_hz,
            overflows=hearing.overflows,
            gaps=hearing.gaps,
            lost_s=round(hearing.lost_s, 1),
            drift_ppm=None if hearing.drift_ppm is None else round(hearing.drift_ppm, 1),
            warning=self._monitor.warning,
            threshold=usual if rules.threshold is None else rules.threshold,
            classes=list(rules.classes),  # type: ignore[arg-type]
            quiet_until=_in(self._control.quiet_s),
            diagnostics_until=_in(self._control.diagnoses_s),
            journal=backlog.pending,
            expired=backlog.expired,
            utterances=self._readings,
            dropped=self._dropped,
            voice_utterances=self._voice.utterances,
            inference_ms=self._inference_ms,
            uptime_s=round(now_s - self._began_s, 1),
            version=__version__,
        )

    def _publish(self, heard: Heard, arrived: float) -> None:
        began, rules = time.perf_counter(), self._control.rules
        encoding = self._classifier.encode(heard.features, heard.frames)
        reading = self._classifier.read(encoding, self._voice.mean_std(), rules)
        self._inference_ms = round(1000 * (time.perf_counter() - began), 3)
        fields = reading_fields(
            heard, reading, self._classifier.model, self._voice.utterances, self._quality
        )
        at = iso(self._source.time_of(heard.utterance.start))
        if why := self._withheld(fields["flaws"]):
            self._diagnose(reading, at, why)
            return
        self._readings += 1
        message = UtteranceMessage(
            id=secrets.token_hex(8),
            node=self._node,
            time=at,
            latency_ms=round(1000 * (time.perf_counter() - arrived), 3),
            **fields,
        )
        for publisher in self._publishers:
            publisher.utterance(message)
        self._diagnose(reading, at, "")
        if reading.is_speech:
            end = heard.utterance.start + heard.utterance.samples.size
            self._monitor.push(reading.emotion, end)
            self._publish_mood(self._mood.push(reading, end))
            self._voice.hear(encoding)

    def _withheld(self, found: list[str]) -> str:
        """Why a reading is not published; empty if it is."""
        if self._control.quiet_s > 0:
            return "quiet"
        if not (self._quality.drop and found):
            return ""
        self._dropped += 1
        return " and ".join(found)

    def _diagnose(self, reading: Reading, at: str, why: str) -> None:
        if self._control.diagnoses_s == 0:
            return
        ranked = sorted(zip(reading.probabilities, EMOTIONS, strict=True), reverse=True)
        message = DiagnosticsMessage(
            node=self._node,
            time=at,
            top={label: round(p, DIGITS) for p, label in ranked[:3]},
            speech_probability=round(reading.speech_probability, DIGITS),
            kept=not why,
            why=why,
        )
        for publisher in self._publishers:
            publisher.diagnostics(message)

    def _publish_mood(self, state: MoodState) -> None:
        if state.since != self._since[0]:
            self._since = (state.since, iso(self._source.time_of(state.since)))
        message = MoodMessage(
            node=self._node,
            mood=state.mood,  # type: ignore[arg-type]
            since=self._since[1],
            confidence=round(state.confidence, DIGITS),
            probabilities=_probabilities(state.probabilities),
            utterances=state.utterances,
        )
        for publisher in self._publishers:
            publisher.mood(message)

    def _publish_speech(self) -> None:
        for publisher in self._publishers:
            publisher.speech(self._is_speaking)


def reading_fields(
    heard: Heard, reading: Reading, model: str, voice_utterances: int, quality: QualitySpec
) -> dict[str, Any]:
    """The fields of an UtteranceMessage that tell of the utterance itself, in their order."""
    utterance = heard.utterance
    snr, clipped = snr_db(utterance), clipped_share(utterance)
    return {
        "duration_s": utterance.samples.size / RATE_HZ,
        "emotion": reading.emotion,
        "confidence": round(reading.confidence, DIGITS),
        "probabilities": _probabilities(reading.probabilities),
        "set": list(reading.prediction_set),
        "valence": round(reading.valence, DIGITS),
        "arousal": round(reading.arousal, DIGITS),
        "level_dbfs": round(level_dbfs(utterance), 1),
        "snr_db": None if snr is None else round(snr, 1),
        "speech_ratio": round(utterance.speech_ratio, DIGITS),
        "clipped": round(clipped, DIGITS),
        "flaws": flaws(snr, clipped, quality),
        "speech_probability": round(reading.speech_probability, DIGITS),
        "model": model,
        "voice_utterances": voice_utterances,
    }


def _in(seconds: float) -> str | None:
    """The time so many seconds from now; None for 0."""
    return iso(time.time() + seconds) if seconds > 0 else None


def _probabilities(values: Sequence[float]) -> Probabilities:
    rounded = (round(value, DIGITS) for value in values)
    return Probabilities(**dict(zip(EMOTIONS, rounded, strict=True)))
