"""`affectd run`: wire the service from the configuration and run it until it is stopped."""

import argparse
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from affectd.daemon import configuration
from affectd.daemon.capture.lookout import Lookout
from affectd.daemon.capture.microphone import Microphone, lookout_now
from affectd.daemon.capture.recording import Recording
from affectd.daemon.capture.source import Source
from affectd.daemon.control import Control
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.monitor import Monitor, MonitorSpec
from affectd.daemon.emotion.mood import Mood, MoodSpec
from affectd.daemon.emotion.voice import FixedVoice, Voice
from affectd.daemon.emotion.voice_file import KeptVoice
from affectd.daemon.errors import SettingsError
from affectd.daemon.publish.broker import EmbeddedBroker
from affectd.daemon.publish.chronicle import Chronicle
from affectd.daemon.publish.console import Console
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.publish.pause_file import PauseFile
from affectd.daemon.publish.reading_log import ReadingLog
from affectd.daemon.service import NO_BACKLOG, Backlog, Decisions, Publisher, Service
from affectd.daemon.settings import (
    Log,
    Settings,
    journal_path,
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
    """Listen to the microphones, or play a recording, and publish."""
    if args.fast and args.input is None:
        raise SettingsError("--fast is for recordings; name one with --input")
    stop = stop_on_signal()
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    logging.getLogger().setLevel(settings.log.level.upper())
    with ExitStack() as stack:
        if args.broker == "embedded":
            broker = stack.enter_context(EmbeddedBroker(settings.mqtt.port))
            settings = msgspec.structs.replace(settings, mqtt=broker.settings)
        nodes = settings.nodes() if args.input is None else settings.nodes()[:1]
        sources = _sources(nodes, args.input, args.fast)
        classifier = classifier_of(settings)
        log = _log(settings.log, stack)
        journal = _journal(settings, stack)
        shared: list[Publisher] = [Chronicle(journal), log, Console(names_node=len(nodes) > 1)]
        services = {}
        for node, source in zip(nodes, sources, strict=True):
            control = Control(source.listen if isinstance(source, Microphone) else None)
            own = _own_publishers(node, source, journal, control, stack, stop)
            voice = _kept_voice(node, classifier.bundle, stack)
            publishers = [*own, *shared]
            services[node.node] = service_of(
                node, source, classifier, voice, publishers, control, journal
            )
        supervisor = Supervisor(os.environ, list(services))
        run_together(services, stop, supervisor)
        supervisor.stopping()
    return 0


def run_together(
    services: Mapping[str, Service], stop: threading.Event, supervisor: Supervisor
) -> None:
    """Run the services of all nodes until stop is set or one of them ends, which ends all.

    Raises what one of them raises, when all have ended.
    """
    with ThreadPoolExecutor(len(services), "node") as threads:
        running = [
            threads.submit(service.run, stop, partial(supervisor.turn, node))
            for node, service in services.items()
        ]
        wait(running, return_when=FIRST_COMPLETED)
        stop.set()
    for service in running:
        service.result()


def _own_publishers(
    settings: Settings,
    source: Source,
    journal: Journal,
    control: Control,
    stack: ExitStack,
    stop: threading.Event,
) -> list[Publisher]:
    """A node's connection, and for a microphone what keeps its pause; the stack ends both."""
    secret = password(settings.mqtt, os.environ)
    publisher = MqttPublisher(
        settings.mqtt, settings.node, secret, journal, control, settings.home_assistant
    )
    publisher.start()
    stack.callback(publisher.stop)
    if not isinstance(source, Microphone):
        _wait_for_broker(publisher, stop)
        return [publisher]
    pause = PauseFile(pause_path(settings, os.environ), lambda: source.is_paused)
    stack.callback(pause.close)
    return [pause, publisher]


def _log(settings: Log, stack: ExitStack) -> ReadingLog:
    path = log_path(settings, os.environ)
    log = ReadingLog(path, settings.size_mb * 1e6, settings.days * 86_400)
    stack.callback(log.close)
    logger.info("readings are logged to %s", path)
    return log


def _journal(settings: Settings, stack: ExitStack) -> Journal:
    kept = settings.journal
    journal = Journal(journal_path(kept, os.environ), kept.rows, kept.days)
    stack.callback(journal.close)
    return journal


def service_of(
    settings: Settings,
    source: Source,
    classifier: Classifier,
    voice: Voice,
    publishers: Sequence[Publisher],
    control: Control | None = None,
    journal: Journal | None = None,
) -> Service:
    """A service as configured."""
    node, ear, decisions = settings.node, ear_of(settings), decisions_of(settings)

    def backlog() -> Backlog:
        if journal is None:
            return NO_BACKLOG
        return Backlog(journal.count_pending(node), journal.expired(node))

    return Service(node, source, ear, classifier, voice, decisions, publishers, control, backlog)


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


def _kept_voice(settings: Settings, bundle: Bundle, stack: ExitStack) -> Voice:
    """The voice that this node knows from before, saved when the stack unwinds."""
    if not settings.emotion.adapt:
        return voice_of(settings, bundle)
    path, days = voice_path(settings, os.environ), settings.emotion.voice_half_life_days
    voice = KeptVoice(path, np.array(bundle.mean), np.array(bundle.std), days)
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


def _sources(nodes: Sequence[Settings], recording: Path | None, fast: bool) -> list[Source]:
    """What each node hears: the recording, or its microphone, which signals pause and resume."""
    if recording is not None:
        return [Recording(recording, channel=node.audio.channel, fast=fast) for node in nodes]
    lookout = lookout_now()
    microphones = [_microphone(node, lookout) for node in nodes]

    def listen(may: bool) -> None:
        for microphone in microphones:
            microphone.listen(may)

    on_signals({signal.SIGUSR1: partial(listen, False), signal.SIGUSR2: partial(listen, True)})
    return list(microphones)


def _microphone(settings: Settings, lookout: Lookout) -> Microphone:
    audio, paused = settings.audio, pause_path(settings, os.environ).exists()
    if paused:
        logger.info(
            "%s is paused, as it was before; SIGUSR2 or MQTT resumes listening", settings.node
        )
    return Microphone(audio.device, audio.channel, paused, lookout)
