"""`affectd demo`: the whole pipeline on a bundled recording, seen from an MQTT subscriber."""

import argparse
import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.capture.recording import Recording
from affectd.daemon.commands.run import classifier_of, service_of, stop_on_signal
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish.broker import HOST, EmbeddedBroker
from affectd.daemon.publish.console import bars, line
from affectd.daemon.publish.messages import UtteranceMessage
from affectd.daemon.publish.mqtt import ROOT, MqttPublisher
from affectd.daemon.settings import Mqtt, Settings

FOLDER: Final = bundles.DEFAULT / "demo"
NODE: Final = "demo"
WAIT_S: Final = 10.0  # for the broker in this process


class Spoken(msgspec.Struct, frozen=True):
    """One clip of the demo recording."""

    start_s: float
    end_s: float
    emotion: str  # what was acted
    voice: str
    clip: str


def run(args: argparse.Namespace) -> int:
    """Play the recording through service and broker; print what arrives at a subscriber."""
    logging.getLogger().setLevel(logging.WARNING)
    spoken = msgspec.json.decode((FOLDER / "recording.json").read_bytes(), type=list[Spoken])
    recording = Recording(FOLDER / "recording.ogg", fast=args.fast)
    settings = Settings(node=NODE)
    classifier = classifier_of(settings)
    stop = stop_on_signal()
    with EmbeddedBroker(0) as broker:
        publisher = MqttPublisher(Mqtt(host=HOST, port=broker.port), NODE, None)
        with Subscriber(broker.port, recording, spoken, args.json) as subscriber:
            publisher.start()
            subscriber.wait_for("online")
            if not args.json:
                _introduce(recording, broker.port)
            service_of(settings, recording, classifier, [publisher]).run(stop)
            publisher.stop()
            subscriber.wait_for("offline")
    if not args.json:
        print(
            f"\n{subscriber.right} of {subscriber.readings} readings are what was acted. "
            "To hear your own room: affectd run"
        )
    return 0


class Subscriber:
    """An MQTT client of its own, that prints each utterance it receives."""

    def __init__(
        self, port: int, recording: Recording, spoken: Sequence[Spoken], as_json: bool
    ) -> None:
        self._port, self._recording, self._spoken, self._as_json = port, recording, spoken, as_json
        self._status = {"online": threading.Event(), "offline": threading.Event()}
        self._subscribed = threading.Event()
        self.readings = self.right = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/{NODE}/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        """Connect and subscribe. Raises BrokerError if the broker does not answer."""
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        self._wait(self._subscribed)
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def wait_for(self, status: str) -> None:
        """Wait until the service is online or offline. Raises BrokerError after 10 s."""
        self._wait(self._status[status])

    def _wait(self, event: threading.Event) -> None:
        if not event.wait(WAIT_S):
            raise BrokerError(
                f"the embedded broker on {HOST}:{self._port} did not deliver within {WAIT_S:g} s; "
                "see whether a firewall keeps programs from talking on this machine"
            )

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        if name == "status":
            self._status[message.payload.decode()].set()
        elif name == "utterance":
            self._show(bytes(message.payload))

    def _show(self, payload: bytes) -> None:
        if self._as_json:
            print(payload.decode(), flush=True)
            return
        reading = msgspec.json.decode(payload, type=UtteranceMessage)
        acted = self._acted(reading)
        self.readings += 1
        self.right += reading.emotion == acted.emotion
        print(f"\n{line(reading)}\n{bars(reading.probabilities)}")
        print(f"    acted: {acted.emotion} ({acted.voice})", flush=True)

    def _acted(self, reading: UtteranceMessage) -> Spoken:
        """The clip that the middle of an utterance is nearest to."""
        began = datetime.fromisoformat(reading.time).timestamp() - self._recording.time_of(0)
        middle = began + reading.duration_s / 2
        return min(self._spoken, key=lambda clip: abs((clip.start_s + clip.end_s) / 2 - middle))


def _introduce(recording: Recording, port: int) -> None:
    print(
        f"Playing {recording.duration_s:.0f} s of acted speech (CREMA-D, by voices the networks "
        f"have never heard;\nlicence: {FOLDER / 'ATTRIBUTION.md'}) through the whole service.\n"
        f"This is what a subscriber to {ROOT}/{NODE}/# on {HOST}:{port} receives:",
        flush=True,
    )
