"""The wiring: source -> ear -> classifier, beside the voice -> mood -> publishers."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from affectd.daemon.capture.source import Source
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.decision import Reading
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.mood import Mood, MoodState
from affectd.daemon.emotion.voice import Voice
from affectd.daemon.publish.messages import MoodMessage, Probabilities, UtteranceMessage, iso
from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.level import level_dbfs, snr_db
from affectd.daemon.speech.vad import RATE_HZ

logger = logging.getLogger(__name__)

DIGITS: Final = 6  # behind the point of what is published


class Publisher(Protocol):
    """Where readings, moods and speech go."""

    def utterance(self, message: UtteranceMessage) -> None:
        """Take one reading."""

    def mood(self, message: MoodMessage) -> None:
        """Take the mood, after each reading of speech and at the start."""

    def speech(self, is_speaking: bool) -> None:
        """Take whether someone is speaking, at each change and at the start."""


class Service:
    """Listens to one source until it ends or is told to stop."""

    def __init__(
        self,
        node: str,
        source: Source,
        ear: Ear,
        classifier: Classifier,
        voice: Voice,
        mood: Mood,
        publishers: Sequence[Publisher],
    ) -> None:
        self._node = node
        self._source = source
        self._ear = ear
        self._classifier = classifier
        self._voice = voice
        self._mood = mood
        self._publishers = publishers
        self._is_speaking = False
        self._since = (-1, "")  # sample and time at which the mood began

    def run(self, stop: threading.Event) -> None:
        """Listen until the source ends or stop is set. Raises what the source raises."""
        self._publish_mood(self._mood.state)
        self._publish_speech()
        try:
            for heard, arrived in self._heard(stop):
                self._publish(heard, arrived)
        finally:
            if self._is_speaking:
                self._is_speaking = False
                self._publish_speech()

    def _heard(self, stop: threading.Event) -> Iterator[tuple[Heard, float]]:
        """Utterances, each with the moment at which its last frame arrived."""
        for number, block in enumerate(self._source.blocks(stop)):
            if number == 0:
                logger.info("hearing %s", self._source.name)
            arrived = time.perf_counter()
            for heard in self._ear.push(block):
                if self._ear.is_speaking != self._is_speaking:
                    self._is_speaking = self._ear.is_speaking
                    self._publish_speech()
                if heard is not None:
                    yield heard, arrived
        arrived = time.perf_counter()
        if not stop.is_set() and (last := self._ear.flush()) is not None:
            yield last, arrived

    def _publish(self, heard: Heard, arrived: float) -> None:
        reading = self._classifier.read(heard.features, heard.frames, self._voice.mean_std())
        message = UtteranceMessage(
            id=secrets.token_hex(8),
            node=self._node,
            time=iso(self._source.time_of(heard.utterance.start)),
            latency_ms=round(1000 * (time.perf_counter() - arrived), 3),
            **reading_fields(heard, reading, self._classifier.model, self._voice.utterances),
        )
        for publisher in self._publishers:
            publisher.utterance(message)
        if reading.is_speech:
            end = heard.utterance.start + heard.utterance.samples.size
            self._publish_mood(self._mood.push(reading, end))
            self._voice.hear(heard.features, heard.frames)

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
    heard: Heard, reading: Reading, model: str, voice_utterances: int
) -> dict[str, Any]:
    """The fields of an UtteranceMessage that tell of the utterance itself, in their order."""
    utterance = heard.utterance
    snr = snr_db(utterance)
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
        "speech_probability": round(reading.speech_probability, DIGITS),
        "model": model,
        "voice_utterances": voice_utterances,
    }


def _probabilities(values: Sequence[float]) -> Probabilities:
    rounded = (round(value, DIGITS) for value in values)
    return Probabilities(**dict(zip(EMOTIONS, rounded, strict=True)))
