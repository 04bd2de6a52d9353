"""How many readings a second do nodes bring through one mosquitto, and are any lost?

`python -m benchmarks.throughput` in a checkout (`make throughput`): each node is an MqttPublisher
with a connection of its own, in as many processes as there are cores; one subscriber counts. The
broker has mosquitto's own limits, unless --queued sets another: 20 messages on their way to a
subscriber (max_inflight_messages) and 1000 behind them (max_queued_messages); it drops the rest.
--pace lets each node publish a reading every so many seconds, as a room in which people talk
without end does every 3 s. Needs the extra `dev` and the package mosquitto.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import Mqtt
from tests.conftest import Mosquitto, wait_until
from tests.publish.samples import utterance

START_S: Final = 60.0
STILL_S: Final = 10.0  # without a new reading: what is missing then is lost


@dataclass(frozen=True, slots=True)
class Load:
    """What is published."""

    nodes: int
    readings: int  # of each node
    pace_s: float = 0.0  # between two of one node; 0: as many as it can


@dataclass(frozen=True, slots=True)
class Result:
    """What arrived."""

    nodes: int
    readings: int  # of all nodes
    readings_per_s: float  # from the first publication to the last arrival
    lost: int
    duplicates: int
    latency_p50_ms: float  # from the call of the publisher to the subscriber
    latency_p99_ms: float
    payload_bytes: float  # mean


@dataclass
class Counting:
    """The subscriber: which readings arrived, how often and when."""

    port: int
    arrivals: Counter[str] = field(default_factory=Counter)
    latencies_ns: list[int] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    bytes: int = 0
    last_ns: int = 0

    def __post_init__(self) -> None:
        """Connect and subscribe."""
        subscribed: list[bool] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("affectd/+/utterance", 1)
        self.client.on_subscribe = lambda *_: subscribed.append(True)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        wait_until(lambda: subscribed, "the subscription is acknowledged")

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()

    def wait_for(self, expected: int, longest_pause_s: float) -> None:
        """Wait until so many readings are there, or none has come for long."""
        while len(self.arrivals) < expected:
            newest_ns = self.last_ns or time.monotonic_ns()
            if time.monotonic_ns() - newest_ns > 1e9 * longest_pause_s:
                return
            time.sleep(0.05)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.last_ns = time.monotonic_ns()
        name = msgspec.json.decode(message.payload, type=_Name).id
        sent_ns = int(name.rpartition(":")[2])
        self.arrivals[name] += 1
        self.sent_ns.append(sent_ns)
        self.latencies_ns.append(self.last_ns - sent_ns)
        self.bytes += len(message.payload)


class _Name(msgspec.Struct, frozen=True):
    id: str


def _publisher(port: int, node: str, folder: str) -> MqttPublisher:
    """A node with a journal of its own, as if it were alone on its machine."""
    journal = Journal(Path(folder, node, "journal.sqlite"), rows=100_000, days=90)
    return MqttPublisher(Mqtt(host="127.0.0.1", port=port), node, None, journal)


def _publish(port: int, names: Sequence[str], load: Load, ready: Barrier, done: Event) -> None:
    """One process: connect these nodes, publish their readings in turn, and wait to stop."""
    with tempfile.TemporaryDirectory() as folder:
        publishers = {name: _publisher(port, name, folder) for name in names}
        _publish_from(publishers, load, ready, done)


def _publish_from(
    publishers: Mapping[str, MqttPublisher], load: Load, ready: Barrier, done: Event
) -> None:
    for publisher in publishers.values():
        publisher.start()
    for name, publisher in publishers.items():
        assert publisher.wait_until_connected(START_S), f"{name} did not connect"
    ready.wait(START_S)
    began = time.monotonic()
    for number in range(load.readings):
        for turn, (name, publisher) in enumerate(publishers.items()):
            due = began + load.pace_s * (number + turn / len(publishers))
            time.sleep(max(0.0, due - time.monotonic()))
            label = f"{name}:{number}:{time.monotonic_ns()}"
            publisher.utterance(msgspec.structs.replace(utterance(label), node=name))
    done.wait()
    for publisher in publishers.values():
        publisher.stop()


def measure(port: int, load: Load) -> Result:
    """Publish a load through the broker on this port of this machine."""
    spawn = multiprocessing.get_context("spawn")
    names = [f"room{number}" for number in range(load.nodes)]
    workers = min(load.nodes, os.cpu_count() or 1)
    ready, done = spawn.Barrier(workers + 1), spawn.Event()
    shares = [names[worker::workers] for worker in range(workers)]
    processes = [
        spawn.Process(target=_publish, args=(port, share, load, ready, done)) for share in shares
    ]
    counting = Counting(port)
    try:
        for process in processes:
            process.start()
        ready.wait(START_S)
        counting.wait_for(load.nodes * load.readings, STILL_S + load.pace_s)
    finally:
        done.set()
        for process in processes:
            process.join(START_S)
        counting.close()
    return _result(load, counting)


def _result(load: Load, counting: Counting) -> Result:
    expected, arrived = load.nodes * load.readings, len(counting.arrivals)
    took_s = (counting.last_ns - min(counting.sent_ns)) / 1e9
    p50, p99 = np.percentile(counting.latencies_ns, [50, 99]) / 1e6
    return Result(
        nodes=load.nodes,
        readings=expected,
        readings_per_s=round(arrived / took_s, 1),
        lost=expected - arrived,
        duplicates=counting.arrivals.total() - arrived,
        latency_p50_ms=round(float(p50), 2),
        latency_p99_ms=round(float(p99), 2),
        payload_bytes=round(counting.bytes / counting.arrivals.total(), 1),
    )


def main() -> None:
    """Measure each number of nodes through a mosquitto of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--readings", type=int, default=10_000, help="of all nodes together")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two of one node")
    parser.add_argument("--queued", type=int, help="max_queued_messages (mosquitto's own: 1000)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    args = parser.parse_args()
    limits = "" if args.queued is None else f"\nmax_queued_messages {args.queued}"
    for nodes in args.nodes:
        with tempfile.TemporaryDirectory() as name:
            broker = Mosquitto(Path(name), f"allow_anonymous true{limits}")
            broker.start()
            try:
                load = Load(nodes, max(1, args.readings // nodes), args.pace)
                figures = asdict(measure(broker.port, load))
            finally:
                broker.stop()
        if args.json:
            print(json.dumps(figures), flush=True)
        else:
            print(*(f"{key}: {value}" for key, value in figures.items()), sep=", ", flush=True)


if __name__ == "__main__":
    main()
