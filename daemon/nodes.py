"""All nodes of a process, made from one configuration, which begin and end together."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from affectd.daemon.capture.microphone import Microphone
from affectd.daemon.capture.source import Source
from affectd.daemon.control import Control
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.emotion.voice import Voice
from affectd.daemon.emotion.voice_file import KeptVoice
from affectd.daemon.listening import Listening
from affectd.daemon.publish.chronicle import Chronicle
from affectd.daemon.publish.console import Console
from affectd.daemon.publish.feed import SOCKET, Feed
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.publish.pause_file import PauseFile
from affectd.daemon.publish.reading_log import ReadingLog
from affectd.daemon.service import Publisher, Service
from affectd.daemon.settings import (
    JournalSettings,
    Log,
    Mqtt,
    Settings,
    journal_path,
    log_path,
    password,
    pause_path,
    runtime_folder,
    user_path,
    voice_path,
)
from affectd.daemon.wiring import classifier_of, service_of, voice_of

logger = logging.getLogger(__name__)

# A microphone is heard at once; a recording would be over before the broker answers.
BROKER_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A configuration, and what it names, read: nothing in it runs or is open."""

    settings: Settings
    classifier: Classifier
    secret: str | None = field(repr=False)  # the broker's password
    certificates: Mapping[str, object]  # key -> what tells one file from another


def prepare(settings: Settings) -> Parts:
    """Read what a configuration names. Raises SettingsError or BundleError if it can never work."""
    secret = password(settings.mqtt, os.environ)
    certificates = {key: _mark(settings.mqtt, key) for key in ("ca_file", "cert_file", "key_file")}
    for node in settings.nodes():
        MqttPublisher(node.mqtt, node.node, secret, home_assistant=node.home_assistant)
    return Parts(settings, classifier_of(settings), secret, certificates)


def _mark(settings: Mqtt, key: str) -> object:
    with suppress(OSError):
        if (path := getattr(settings, key)) is not None:
            status = user_path(path).stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
    return None


def changes(before: Parts, after: Parts) -> list[str]:
    """What differs, by key and without values: mqtt.host, what mqtt.ca_file holds."""
    old, new = msgspec.to_builtins(before.settings), msgspec.to_builtins(after.settings)
    keys = list(_differing(old, new))
    contents = {
        f"mqtt.{key}": (before.certificates[key], mark) for key, mark in after.certificates.items()
    }
    contents["mqtt.password_file"] = (before.secret, after.secret)
    contents["emotion.bundle"] = (before.classifier.bundle, after.classifier.bundle)
    for key, (one, other) in contents.items():
        if one != other and key not in keys:
            keys.append(f"what {key} holds")
    return keys


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key, value in after.items():
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in _differing(before[key], value))
        elif value != before[key]:
            yield key


def wire(
    parts: Parts,
    hear: Callable[[Sequence[Settings]], Mapping[str, Source]],
    listening: Listening,
    stop: threading.Event,
    on_step: Callable[[], None],
    stack: ExitStack,
) -> dict[str, Service]:
    """Open what the nodes need, and make the service of each; the stack ends all.

    hear: makes the source of each node that is to hear. on_step: is called while all ends.
    Raises DeviceError, RecordingError, LogError, JournalError or SettingsError.
    """
    settings = parts.settings
    stack.callback(listening.let_go)
    sources = hear(settings.nodes())
    log, journal = _log(settings.log, stack), _journal(settings.journal, stack)
    shared: list[Publisher] = [Chronicle(journal), log, Console(names_node=len(sources) > 1)]
    feed = _feed(stack)
    services = {}
    for node in settings.nodes():
        if (source := sources.get(node.node)) is None:
            continue
        stack.callback(on_step)
        control = listening.control(node.node, source)
        own = _own_publishers(node, source, parts.secret, journal, control, stack, stop)
        voice = _kept_voice(node, parts.classifier.bundle, stack)
        watched = feed.of(node.node)
        publishers = [*own, *shared, watched]
        services[node.node] = service_of(
            node, source, parts.classifier, voice, publishers, control, journal, watched.hear
        )
    return services


def check_log(settings: Log) -> None:
    """Raise LogError if the log of readings cannot be written."""
    _open_log(settings).close()


def _log(settings: Log, stack: ExitStack) -> ReadingLog:
    log = _open_log(settings)
    stack.callback(log.close)
    logger.info("readings are logged to %s", log.path)
    return log


def _open_log(settings: Log) -> ReadingLog:
    path = log_path(settings, os.environ)
    return ReadingLog(path, settings.size_mb * 1e6, settings.days * 86_400)


def _journal(settings: JournalSettings, stack: ExitStack) -> Journal:
    journal = Journal(journal_path(settings, os.environ), settings.rows, settings.days)
    stack.callback(journal.close)
    return journal


def _feed(stack: ExitStack) -> Feed:
    feed = Feed(runtime_folder(os.environ) / SOCKET)
    stack.callback(feed.close)
    feed.start()
    return feed


def _own_publishers(
    settings: Settings,
    source: Source,
    secret: str | None,
    journal: Journal,
    control: Control,
    stack: ExitStack,
    stop: threading.Event,
) -> list[Publisher]:
    """A node's connection, and for a microphone what keeps its pause; the stack ends both."""
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


def _kept_voice(settings: Settings, bundle: Bundle, stack: ExitStack) -> Voice:
    """The voice that this node knows from before, saved when the stack unwinds."""
    if not settings.emotion.adapt:
        return voice_of(settings, bundle)
    path, days = voice_path(settings, os.environ), settings.emotion.voice_half_life_days
    mean, std = np.array(bundle.mean), np.array(bundle.std)
    voice = KeptVoice(path, mean, std, bundle.encoder.digits, days)
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
