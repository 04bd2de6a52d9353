import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import soundfile
from msgspec.structs import asdict
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.control import Control
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.monitor import Monitor, MonitorSpec
from affectd.daemon.emotion.mood import Mood, MoodSpec
from affectd.daemon.emotion.voice import FixedVoice, Voice
from affectd.daemon.publish.commands import (
    Classes,
    Diagnostics,
    Quiet,
    Threshold,
    VoiceReset,
)
from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    UtteranceMessage,
)
from affectd.daemon.service import Decisions, Service
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.level import QualitySpec
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.presence import Presence, PresenceSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from tests.bundles import gated
from tests.conftest import DEMO

T = TypeVar("T")


class Collector:
    """A publisher that keeps what it is given, in order."""

    def __init__(self) -> None:
        self.events: list[UtteranceMessage | MoodMessage | bool] = []
        self.health_messages: list[HealthMessage] = []
        self.diagnostics_messages: list[DiagnosticsMessage] = []

    def utterance(self, message: UtteranceMessage) -> None:
        self.events.append(message)

    def mood(self, message: MoodMessage) -> None:
        self.events.append(message)

    def speech(self, is_speaking: bool) -> None:
        self.events.append(is_speaking)

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        self.diagnostics_messages.append(message)

    def health(self, message: HealthMessage) -> None:
        self.health_messages.append(message)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


def new_voice(classifier: Classifier, kind: type[Voice] = Voice) -> Voice:
    bundle = classifier.bundle
    return kind(np.array(bundle.mean), np.array(bundle.std), bundle.encoder.digits)


def run(
    path: Path,
    classifier: Classifier,
    fast: bool = True,
    voice: Voice | None = None,
    decisions: Decisions | None = None,
    control: Control | None = None,
    on_heard: Callable[[NDArray[np.int16], bool], None] = lambda *_: None,
) -> Collector:
    collector = Collector()
    ear = Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE)
    voice = voice or new_voice(classifier)
    source, decisions = Recording(path, fast=fast), decisions or Decisions()
    service = Service(
        *("kitchen", source, ear, classifier, voice, decisions, [collector], control),
        on_heard=on_heard,
    )
    service.run(threading.Event())
    return collector


@pytest.fixture(scope="module")
def open_gate(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """The default networks, with a gate that takes everything for speech."""
    return Classifier(gated(tmp_path_factory.mktemp("open"), threshold=0.0))


@pytest.fixture(scope="module")
def closed_gate(tmp_path_factory: pytest.TempPathFactory, half_gate: bytes) -> Classifier:
    """The default networks, with a gate that takes nothing for speech."""
    return Classifier(gated(tmp_path_factory.mktemp("closed"), 0.6, half_gate), threshold=0.0)


@pytest.fixture(scope="module")
def heard(open_gate: Classifier) -> Collector:
    return run(DEMO, open_gate)


def test_a_recording_becomes_readings(heard: Collector) -> None:
    assert len(heard.of(UtteranceMessage)) >= 8


def test_what_is_spoken_is_taken_at_once_and_silence_more_of_it_at_a_time(
    open_gate: Classifier, tmp_path: Path
) -> None:
    silence, sizes = np.zeros(32_000, np.int16), []
    path = tmp_path / "silence_speech_silence.wav"
    sound = np.concatenate([silence, Recording(DEMO).samples()[:64_000], silence])
    soundfile.write(path, sound, 16_000)
    paced = run(path, open_gate, fast=False, on_heard=lambda b, _: sizes.append(b.size))
    blocks, at = np.array(sizes), np.cumsum([0, *sizes[:-1]])
    assert set(blocks[at < 30_000]) == {2_400}
    assert np.median(blocks[(at > 36_000) & (at < 96_000)]) == 480
    assert max(blocks[at > 112_000]) == 2_400
    told = [asdict(r) | {"id": "", "time": "", "latency_ms": 0} for r in paced.of(UtteranceMessage)]
    fast = run(path, open_gate).of(UtteranceMessage)
    assert told == [asdict(r) | {"id": "", "time": "", "latency_ms": 0} for r in fast]
    assert told


@pytest.mark.parametrize("offset", [-2000, 2000])
def test_an_offset_of_the_microphone_leaves_the_readings_as_they_are(
    offset: int, open_gate: Classifier, tmp_path: Path
) -> None:
    speech = Recording(DEMO).samples()
    within = np.clip(speech, -30_000, 30_000)  # so that no peak leaves the scale
    hiss = np.random.default_rng(0).integers(-2, 3, speech.size).astype(np.int16)
    told = []
    for name, add in (("plain", 0), ("shifted", offset)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, within + hiss + np.int16(add), 16_000)
        told.append(run(path, open_gate).of(UtteranceMessage))
    assert len(told[0]) >= 8
    for plain, shifted in zip(*told, strict=True):
        assert shifted.duration_s == plain.duration_s
        # The encoder rounds its activations to int8, which makes little of next to nothing.
        assert asdict(shifted.probabilities) == pytest.approx(asdict(plain.probabilities), abs=0.02)
        assert shifted.speech_probability == pytest.approx(plain.speech_probability, abs=0.02)
        assert shifted.level_dbfs == pytest.approx(plain.level_dbfs, abs=0.2)
        assert shifted.snr_db == pytest.approx(plain.snr_db, abs=0.2)
        assert shifted.flaws == plain.flaws


def test_the_mood_is_idle_first_and_follows_each_reading(heard: Collector) -> None:
    moods = heard.of(MoodMessage)
    assert [mood.utterances for mood in moods] == list(range(len(heard.of(UtteranceMessage)) + 1))
    assert moods[0].mood == "idle"
    assert moods[-1].mood != "idle"


def test_each_reading_tells_how_many_utterances_the_voice_knew_before(heard: Collector) -> None:
    readings = heard.of(UtteranceMessage)
    assert [reading.voice_utterances for reading in readings] == list(range(len(readings)))


def test_a_voice_that_is_known_is_read_otherwise(heard: Collector, open_gate: Classifier) -> None:
    fixed = run(DEMO, open_gate, voice=new_voice(open_gate, FixedVoice)).of(UtteranceMessage)
    first, *others = zip(heard.of(UtteranceMessage), fixed, strict=True)
    assert first[0].probabilities == first[1].probabilities
    assert all(adapted.probabilities != plain.probabilities for adapted, plain in others)
    assert {reading.voice_utterances for reading in fixed} == {0}


def test_what_is_no_speech_is_published_as_unknown(closed_gate: Classifier) -> None:
    readings = run(DEMO, closed_gate).of(UtteranceMessage)
    assert len(readings) >= 8
    assert {(r.emotion, r.speech_probability, r.voice_utterances) for r in readings} == {
        ("unknown", 0.5, 0)
    }


def test_what_is_no_speech_moves_neither_voice_nor_mood(closed_gate: Classifier) -> None:
    voice = new_voice(closed_gate)
    moods = run(DEMO, closed_gate, voice=voice).of(MoodMessage)
    assert [mood.mood for mood in moods] == ["idle"]
    np.testing.assert_array_equal(voice.mean_std(), new_voice(closed_gate).mean_std())


def test_speech_goes_on_and_off_in_turn_and_ends_off(open_gate: Classifier) -> None:
    at_once = Decisions(presence=Presence(PresenceSpec(0.0, 0.0)))
    states = run(DEMO, open_gate, decisions=at_once).of(bool)
    assert len(states) >= 5
    assert states == [number % 2 == 1 for number in range(len(states))]


def test_speech_is_on_before_its_reading_comes(heard: Collector) -> None:
    first = next(i for i, e in enumerate(heard.events) if isinstance(e, UtteranceMessage))
    assert True in [event for event in heard.events[:first] if isinstance(event, bool)]


def test_readings_are_in_the_order_and_at_the_time_they_were_spoken(heard: Collector) -> None:
    times = [reading.time for reading in heard.of(UtteranceMessage)]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_every_reading_has_its_own_id(heard: Collector) -> None:
    ids = [reading.id for reading in heard.of(UtteranceMessage)]
    assert len(set(ids)) == len(ids)


def test_the_pace_of_a_recording_does_not_change_its_readings(
    classifier: Classifier, tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech[: 16_000 * 7], 16_000)
    fast, paced = (
        [r.probabilities for r in run(path, classifier, fast).of(UtteranceMessage)]
        for fast in (True, False)
    )
    assert fast == paced != []


def test_level_and_noise_are_measured(classifier: Classifier, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 1e-3, 16_000 * 4)
    speech = Recording(DEMO).samples()[16_000 * 23 : 16_000 * 26] / 32768
    path = tmp_path / "a.wav"
    soundfile.write(path, noise + np.pad(speech, (8_000, 8_000)), 16_000, subtype="FLOAT")
    (reading, *_) = run(path, classifier).of(UtteranceMessage)
    voiced_dbfs = 10 * np.log10((speech**2).mean())
    assert reading.level_dbfs == pytest.approx(voiced_dbfs, abs=3)
    assert reading.snr_db == pytest.approx(reading.level_dbfs + 60, abs=6)


def test_a_stop_ends_the_service_with_speech_off(classifier: Classifier) -> None:
    collector, stop = Collector(), threading.Event()
    ear = Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE)
    stop.set()
    voice = new_voice(classifier)
    source = Recording(DEMO)
    Service("kitchen", source, ear, classifier, voice, Decisions(), [collector]).run(stop)
    assert collector.of(UtteranceMessage) == []
    assert collector.events[-1] is False


def test_utterances_that_are_clipped_are_marked(open_gate: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    speech = Recording(DEMO).samples()[16_000 * 23 : 16_000 * 26] / 32768
    soundfile.write(path, np.clip(speech / np.abs(speech).max() * 8, -1, 1), 16_000)
    (reading, *_) = run(path, open_gate).of(UtteranceMessage)
    assert reading.clipped > 0.02
    assert reading.flaws == ["clipped"]


def test_what_is_marked_may_be_withheld_and_is_counted(open_gate: Classifier) -> None:
    decisions = Decisions(quality=QualitySpec(least_snr_db=100.0, drop=True))
    voice = new_voice(open_gate)
    collector = run(DEMO, open_gate, voice=voice, decisions=decisions)
    assert all(reading.snr_db is None for reading in collector.of(UtteranceMessage))
    published, told = len(collector.of(UtteranceMessage)), collector.health_messages[-1]
    assert voice.utterances == published
    assert told.dropped > 0
    assert told.dropped + published == len(run(DEMO, open_gate).of(UtteranceMessage))


def test_after_a_long_silence_the_mood_is_idle_again(open_gate: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    speech = Recording(DEMO).samples()[16_000 * 4 : 16_000 * 7]
    soundfile.write(path, np.concatenate([speech, np.zeros(16_000 * 20, np.int16)]), 16_000)
    decisions = Decisions(mood=Mood(MoodSpec(idle_after_s=10.0)))
    moods = run(path, open_gate, decisions=decisions).of(MoodMessage)
    assert moods[-2].mood != "idle"
    assert (moods[-1].mood, moods[-1].confidence) == ("idle", 0.0)


def test_readings_that_are_all_alike_are_told_in_health(
    open_gate: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = FeatureSpec()
    silence = np.zeros((spec.n_frames, spec.n_mfcc), np.float32)
    mean_std = new_voice(open_gate).mean_std()
    encoding = open_gate.encode(silence, spec.n_frames)
    always = replace(open_gate.read(encoding, mean_std), emotion="angry")
    monkeypatch.setattr(Classifier, "read", lambda *_: always)
    decisions = Decisions(monitor=Monitor(MonitorSpec(readings=5, over_s=15.0)))
    told = run(DEMO, open_gate, decisions=decisions).health_messages
    assert told[0].warning == ""
    assert told[-1].warning.endswith("with `affectd voice reset`")


def test_emotions_that_may_not_be_read_are_not_and_the_others_share_their_probability(
    heard: Collector, open_gate: Classifier
) -> None:
    control = Control()
    control.obey(Classes(classes=["neutral", "sad"]))
    control.obey(Threshold(threshold=0))
    collector = run(DEMO, open_gate, control=control)
    readings = collector.of(UtteranceMessage)
    assert len(readings) == len(heard.of(UtteranceMessage))
    for reading in readings:
        assert reading.emotion in {"neutral", "sad"}
        assert reading.probabilities.angry == 0
        total = reading.probabilities.neutral + reading.probabilities.sad
        assert total == pytest.approx(1, abs=1e-5)
    assert collector.health_messages[0].classes == ["neutral", "sad"]
    assert collector.health_messages[0].threshold == 0


def test_a_threshold_makes_less_sure_readings_unknown(open_gate: Classifier) -> None:
    control = Control()
    control.obey(Threshold(threshold=1))
    assert {r.emotion for r in run(DEMO, open_gate, control=control).of(UtteranceMessage)} == {
        "unknown"
    }


def test_in_quiet_nothing_is_published_and_nothing_is_learnt(open_gate: Classifier) -> None:
    control, voice = Control(), new_voice(open_gate)
    control.obey(Quiet(for_s=3600))
    collector = run(DEMO, open_gate, voice=voice, control=control)
    assert collector.of(UtteranceMessage) == []
    assert [mood.mood for mood in collector.of(MoodMessage)] == ["idle"]
    assert voice.utterances == 0
    assert collector.health_messages[-1].quiet_until is not None
    assert collector.health_messages[-1].dropped == 0


def test_diagnostics_tell_of_what_is_kept_and_of_what_is_not(
    heard: Collector, open_gate: Classifier
) -> None:
    control = Control()
    control.obey(Diagnostics(for_s=3600))
    told = run(DEMO, open_gate, control=control).diagnostics_messages
    readings = heard.of(UtteranceMessage)
    assert [(one.time[:10], one.kept, one.why) for one in told] == [
        (reading.time[:10], True, "") for reading in readings
    ]
    assert [next(iter(one.top.values())) for one in told] == [r.confidence for r in readings]
    control.obey(Quiet(for_s=3600))
    told = run(DEMO, open_gate, control=control).diagnostics_messages
    assert {(one.kept, one.why) for one in told} == {(False, "quiet")}


def test_without_the_command_there_are_no_diagnostics(heard: Collector) -> None:
    assert heard.diagnostics_messages == []
    assert heard.health_messages[-1].diagnostics_until is None


def test_a_voice_is_forgotten_by_command(open_gate: Classifier) -> None:
    control, voice = Control(), new_voice(open_gate)
    encoder = open_gate.bundle.encoder
    for number in range(5):
        frames = np.full((encoder.frames, encoder.width), number, np.float32)
        voice.hear(Encoding(frames, encoder.frames))
    control.obey(VoiceReset())
    first = run(DEMO, open_gate, voice=voice, control=control).of(UtteranceMessage)[0]
    assert first.voice_utterances == 0
