"""`affectd demo`: the whole pipeline on bundled recordings, seen from an MQTT subscriber."""

import argparse
import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish.broker import HOST, EmbeddedBroker
from affectd.daemon.publish.console import bars, line
from affectd.daemon.publish.messages import UtteranceMessage
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.service import Service
from affectd.daemon.settings import Settings
from affectd.daemon.signals import stop_on_signal
from affectd.daemon.wiring import classifier_of, service_of, voice_of

FOLDER: Final = bundles.DEFAULT / "demo"
NODE: Final = "demo"
WAIT_S: Final = 10.0  # for the broker in this process
EXPECT: Final = (
    "Expect less in your own room: this is acted English that listeners recognised; calm talk,\n"
    "other languages, noise and distance are harder (see docs/readings.md)."
)


class Spoken(msgspec.Struct, frozen=True):
    """One clip of the demo recording."""

    start_s: float
    end_s: float
    emotion: str  # what was acted
    voice: str
    clip: str


def run(args: argparse.Namespace) -> int:
    """Play a recording through service and broker; print what arrives at a subscriber.

    The node has heard other utterances of these voices before, as in a house.
    """
    logging.getLogger().setLevel(logging.WARNING)
    spoken = msgspec.json.decode((FOLDER / "recording.json").read_bytes(), type=list[Spoken])
    recording = Recording(FOLDER / "recording.ogg", fast=args.fast)
    classifier = classifier_of(Settings())
    voice = voice_of(Settings(), classifier.bundle)
    stop = stop_on_signal()
    with EmbeddedBroker(0) as broker, Subscriber(broker.port) as subscriber:
        publisher = MqttPublisher(broker.settings, NODE, None)
        service = service_of(Settings(node=NODE), recording, classifier, voice, [publisher])
        if not args.json:
            _introduce(recording)
        before = Recording(FOLDER / "before.ogg")
        service_of(Settings(node=NODE), before, classifier, voice, []).run(stop)
        if not args.json:
            _announce(voice.utterances, broker.port)
        with ThreadPoolExecutor(1) as player:
            playing = player.submit(_play, service, publisher, stop)
            try:
                _show(subscriber.payloads(playing), recording, spoken, args.json)
            finally:
                stop.set()
        playing.result()
    return 0


def _play(service: Service, publisher: MqttPublisher, stop: threading.Event) -> None:
    publisher.start()
    publisher.wait_until_connected(WAIT_S)
    try:
        service.run(stop)
    finally:
        publisher.stop()


class Subscriber:
    """An MQTT client of its own, that keeps each utterance it receives for the reader."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._payloads: queue.Queue[bytes | None] = queue.Queue()
        subscribed = self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"affectd/{NODE}/#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        """Connect and subscribe. Raises BrokerError if the broker does not answer."""
        try:
            self._client.connect(HOST, self._port)
        except OSError as error:
            raise self._silent() from error
        self._client.loop_start()
        if not self._subscribed.wait(WAIT_S):
            raise self._silent()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def payloads(self, playing: "Future[None]") -> Iterator[bytes]:
        """Yield utterances as they arrive, until the service is offline or has failed.

        Raises BrokerError if the service has ended and its farewell does not arrive.
        """
        late_at = math.inf
        while time.monotonic() < late_at:
            try:
                payload = self._payloads.get(timeout=0.1)
            except queue.Empty:
                if playing.done() and playing.exception() is not None:
                    return
                if playing.done():
                    late_at = min(late_at, time.monotonic() + WAIT_S)
                continue
            if payload is None:
                return
            yield payload
        raise self._silent()

    def _silent(self) -> BrokerError:
        return BrokerError(
            f"the embedded broker on {HOST}:{self._port} did not deliver within {WAIT_S:g} s; "
            "see whether a firewall keeps programs from talking on this machine"
        )

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        if name == "utterance":
            self._payloads.put(bytes(message.payload))
        elif name == "status" and message.payload == b"offline":
            self._payloads.put(None)


def _introduce(recording: Recording) -> None:
    print(
        f"Playing {recording.duration_s:.0f} s of acted speech through the whole service: clips of "
        f"CREMA-D (ODbL 1.0, DbCL 1.0;\n{FOLDER / 'ATTRIBUTION.md'}).\n"
        "The networks have not learnt from these speakers, nor from these sentences. The clips "
        "were\nchosen by what listeners recognised, not by what networks say.",
        flush=True,
    )


def _announce(heard: int, port: int) -> None:
    print(
        f"The node has heard {heard} other utterances of these voices before, as in a house.\n"
        f"This is what a subscriber to affectd/{NODE}/# on {HOST}:{port} receives:",
        flush=True,
    )


def _show(
    payloads: Iterable[bytes], recording: Recording, spoken: Sequence[Spoken], as_json: bool
) -> None:
    """Print each utterance; for people also what was acted, and in the end how many agreed."""
    outcomes: Counter[str] = Counter()
    for payload in payloads:
        if as_json:
            print(payload.decode(), flush=True)
            continue
        reading = msgspec.json.decode(payload, type=UtteranceMessage)
        acted = _acted(reading, recording, spoken)
        outcomes[_outcome(reading.emotion, acted.emotion)] += 1
        print(f"\n{line(reading)}\n{bars(reading.probabilities)}")
        print(f"    acted: {acted.emotion} ({acted.voice})", flush=True)
    if not as_json:
        print(f"\n{summary(outcomes)}\n{EXPECT}\nTo hear your own room: affectd run")


def _outcome(read: str, acted: str) -> str:
    if read == acted:
        return "as acted"
    return "unknown" if read == "unknown" else "wrong"


def summary(outcomes: Mapping[str, int]) -> str:
    """How many readings there were of each outcome, in one sentence."""
    right, unknown, wrong = (outcomes.get(name, 0) for name in ("as acted", "unknown", "wrong"))
    total = right + unknown + wrong
    return f"{right} of {total} read as acted, {unknown} unknown, {wrong} wrong."


def _acted(reading: UtteranceMessage, recording: Recording, spoken: Sequence[Spoken]) -> Spoken:
    """The clip that the middle of an utterance is nearest to."""
    began = datetime.fromisoformat(reading.time).timestamp() - recording.time_of(0)
    middle = began + reading.duration_s / 2
    return min(spoken, key=lambda clip: abs((clip.start_s + clip.end_s) / 2 - middle))
