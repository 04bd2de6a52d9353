"""`affectd run`: wire the service from the configuration and run it until it is stopped."""

import argparse
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from affectd.daemon import configuration
from affectd.daemon.capture.microphone import Microphone
from affectd.daemon.capture.recording import Recording
from affectd.daemon.capture.source import Source
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.monitor import Monitor, MonitorSpec
from affectd.daemon.emotion.mood import Mood, MoodSpec
from affectd.daemon.emotion.voice import FixedVoice, Voice
from affectd.daemon.emotion.voice_file import KeptVoice
from affectd.daemon.errors import SettingsError
from affectd.daemon.publish.broker import HOST, EmbeddedBroker
from affectd.daemon.publish.console import Console
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.publish.pause_file import PauseFile
from affectd.daemon.publish.reading_log import ReadingLog
from affectd.daemon.service import Decisions, Publisher, Service
from affectd.daemon.settings import (
    Mqtt,
    Settings,
    log_path,
    password,
    pause_path,
    user_path,
    voice_path,
)
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.level import QualitySpec
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.presence import Presence, PresenceSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.supervisor import Supervisor

logger = logging.getLogger(__name__)

# A microphone is heard at once; a recording would be over before the broker answers.
BROKER_WAIT_S: Final = 5.0


def run(args: argparse.Namespace) -> int:
    """Listen to the microphone, or play a recording, and publish."""
    if args.fast and args.input is None:
        raise SettingsError("--fast is for recordings; name one with --input")
    stop = stop_on_signal()
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    logging.getLogger().setLevel(settings.log.level.upper())
    with ExitStack() as stack:
        mqtt = settings.mqtt
        if args.broker == "embedded":
            broker = stack.enter_context(EmbeddedBroker(mqtt.port))
            mqtt = Mqtt(host=HOST, port=broker.port)
        source = _source(settings, args.input, args.fast)
        classifier = classifier_of(settings)
        log = ReadingLog(log_path(settings.log, os.environ))
        stack.callback(log.close)
        listen = source.listen if isinstance(source, Microphone) else None
        publisher = MqttPublisher(mqtt, settings.node, password(mqtt, os.environ), listen)
        publisher.start()
        stack.callback(publisher.stop)
        if args.input is not None:
            _wait_for_broker(publisher, stop)
        voice = _kept_voice(settings, classifier.bundle, stack)
        logger.info("readings are logged to %s", log.path)
        publishers: list[Publisher] = [publisher, log, Console()]
        if isinstance(source, Microphone):
            pause = _obeying(source, pause_path(settings, os.environ))
            stack.callback(pause.close)
            publishers.insert(0, pause)
        service = service_of(settings, source, classifier, voice, publishers)
        supervisor = Supervisor(os.environ)
        service.run(stop, supervisor.turn)
        supervisor.stopping()
    return 0


def service_of(
    settings: Settings,
    source: Source,
    classifier: Classifier,
    voice: Voice,
    publishers: Sequence[Publisher],
) -> Service:
    """A service as configured."""
    return Service(
        settings.node,
        source,
        ear_of(settings),
        classifier,
        voice,
        decisions_of(settings),
        publishers,
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
    folder = bundles.DEFAULT if chosen.bundle is None else user_path(chosen.bundle)
    return Classifier(folder, chosen.networks, chosen.threshold)


def voice_of(settings: Settings, bundle: Bundle) -> Voice:
    """A voice that has said nothing yet, and that adapts or not, as configured."""
    kind = Voice if settings.emotion.adapt else FixedVoice
    return kind(np.array(bundle.mean), np.array(bundle.std))


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    on_signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set})
    return stop


def on_signals(actions: Mapping[int, Callable[[], None]]) -> None:
    """Do what belongs to a signal whenever it comes, in a thread of its own.

    A handler interrupts the main thread anywhere, perhaps while it holds the lock of what the
    action wants; putting into a SimpleQueue is safe there.
    """
    came: queue.SimpleQueue[int] = queue.SimpleQueue()

    def act() -> None:
        while True:
            actions[came.get()]()

    for number in actions:
        signal.signal(number, lambda number, _: came.put(number))
    threading.Thread(target=act, name="signals", daemon=True).start()


def _obeying(microphone: Microphone, kept: Path) -> PauseFile:
    """Let SIGUSR1 pause a microphone, and SIGUSR2 resume it; a file keeps that over restarts."""
    if microphone.is_paused:
        logger.info("listening is paused, as it was before; SIGUSR2 or MQTT resumes it")
    on_signals({signal.SIGUSR1: microphone.pause, signal.SIGUSR2: microphone.resume})
    return PauseFile(kept, lambda: microphone.is_paused)


def _kept_voice(settings: Settings, bundle: Bundle, stack: ExitStack) -> Voice:
    """The voice that this node knows from before, saved when the stack unwinds."""
    if not settings.emotion.adapt:
        return voice_of(settings, bundle)
    path = voice_path(settings, os.environ)
    voice = KeptVoice(path, np.array(bundle.mean), np.array(bundle.std))
    stack.callback(voice.close)
    return voice


def _wait_for_broker(publisher: MqttPublisher, stop: threading.Event) -> None:
    end = time.monotonic() + BROKER_WAIT_S
    while not publisher.wait_until_connected(0.1):
        if stop.is_set():
            return
        if time.monotonic() > end:
            logger.warning("the recording is played without the broker")
            return


def _source(settings: Settings, recording: Path | None, fast: bool) -> Source:
    channel = settings.audio.channel
    if recording is not None:
        return Recording(recording, channel=channel, fast=fast)
    paused = pause_path(settings, os.environ).exists()
    return Microphone(settings.audio.device, channel, paused)
