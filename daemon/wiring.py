"""The parts of a service, made as configured."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.source import Source
from affectd.daemon.control import Control
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.monitor import Monitor, MonitorSpec
from affectd.daemon.emotion.mood import Mood, MoodSpec
from affectd.daemon.emotion.voice import FixedVoice, Voice
from affectd.daemon.publish.journal import Journal
from affectd.daemon.service import NO_BACKLOG, Backlog, Decisions, Publisher, Service
from affectd.daemon.settings import Settings, user_path
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.level import QualitySpec
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.presence import Presence, PresenceSpec
from affectd.daemon.speech.segmenter import SegmenterSpec


def service_of(
    settings: Settings,
    source: Source,
    classifier: Classifier,
    voice: Voice,
    publishers: Sequence[Publisher],
    control: Control | None = None,
    journal: Journal | None = None,
    on_heard: Callable[[NDArray[np.int16], bool], None] = lambda *_: None,
) -> Service:
    """A service as configured."""
    node, ear, decisions = settings.node, ear_of(settings), decisions_of(settings)

    def backlog() -> Backlog:
        if journal is None:
            return NO_BACKLOG
        return Backlog(journal.count_pending(node), journal.expired(node))

    return Service(
        node, source, ear, classifier, voice, decisions, publishers, control, backlog, on_heard
    )


def decisions_of(settings: Settings) -> Decisions:
    """What follows from readings, as configured."""
    speech, asdict = settings.speech, msgspec.structs.asdict
    return Decisions(
        presence=Presence(PresenceSpec(speech.on_delay_s, speech.off_delay_s)),
        mood=Mood(MoodSpec(**asdict(settings.mood))),
        monitor=Monitor(MonitorSpec(**asdict(settings.monitor))),
        quality=quality_of(settings),
    )


def quality_of(settings: Settings) -> QualitySpec:
    """What is noisy or clipped, as configured."""
    return QualitySpec(**msgspec.structs.asdict(settings.quality))


def ear_of(settings: Settings) -> Ear:
    """An ear as configured."""
    return Ear(FeatureSpec(), SegmenterSpec(), settings.speech.vad_mode)


def classifier_of(settings: Settings) -> Classifier:
    """The configured networks, loaded. Raises BundleError."""
    chosen = settings.emotion
    return Classifier(bundle_folder(settings), chosen.networks, chosen.threshold)


def bundle_folder(settings: Settings) -> Path:
    """Where the configured bundle is."""
    chosen = settings.emotion.bundle
    return bundles.DEFAULT if chosen is None else user_path(chosen)


def voice_of(settings: Settings, bundle: Bundle) -> Voice:
    """A voice that has said nothing yet, and that adapts or not, as configured."""
    kind = Voice if settings.emotion.adapt else FixedVoice
    return kind(np.array(bundle.mean), np.array(bundle.std), bundle.encoder.digits)
