"""Does every reading arrive, whatever is killed when?

`python -m benchmarks.kills --kills 200` in a checkout (`make kills`): a node makes readings
without end, and it or its broker is killed at random instants (`kill -9`) and started again. Needs
the extra `dev` and the Debian package mosquitto.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.stream import NODE
from tests.conftest import Mosquitto, wait_until

EVERY_S = 0.02  # between two readings
PATIENCE_S = 60.0  # for what was made to arrive in the end
# What it has acknowledged it hands on at once, and keeps nothing in its memory, which dies with it.
BROKER = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0"


def main() -> None:
    """Kill, and print what came of it; exit status 1 if a reading was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of their order (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = kills(Path(name), args.kills, args.seed)
    if args.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key.replace('_', ' ')}: {value}")
    sys.exit(1 if figures["lost"] or figures["live_twice"] else 0)


def kills(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill node and broker so often; return what was made and what arrived."""
    chance = random.Random(seed)  # noqa: S311
    broker = Mosquitto(folder, BROKER)
    broker.start()
    subscriber, node = Subscriber(broker.port), Node(broker.port, folder / "journal.sqlite")
    killed: Counter[str] = Counter()
    began = time.monotonic()
    try:
        for number in range(count):
            time.sleep(chance.uniform(0, 0.6))
            what = chance.choice(["node", "broker"])
            killed[what] += 1
            if what == "node":
                node.kill()
                node.start()
            else:
                broker.stop()
                subscriber.wait_until_gone()
                time.sleep(chance.uniform(0, 0.3))
                with node.standing_still():  # what nobody has subscribed nobody gets
                    broker.start()
                    subscriber.wait_until_subscribed()
            print(f"\r{number + 1} of {count}", end="", file=sys.stderr, flush=True)
        node.kill()
        node.start()  # so that the last of the one before is on `history`
        made = set(node.made)
        with suppress(AssertionError):  # what is lost then is counted
            wait_until(lambda: made <= subscriber.ids(), "all have arrived", PATIENCE_S)
    finally:
        node.kill()
        subscriber.close()
        broker.stop()
    live, history = Counter(subscriber.live), Counter(subscriber.history)
    return {
        "kills": dict(killed),
        "seconds": round(time.monotonic() - began, 1),
        "made": len(made),
        "live": len(live),
        "on_history": len(history),
        "lost": len(made - subscriber.ids()),
        "live_twice": sum(n > 1 for n in live.values()),
        "history_twice": sum(n > 1 for n in history.values()),
        "live_and_history": len(live.keys() & history.keys()),
    }


class Node:
    """The process that makes readings, and what it says it has made."""

    def __init__(self, port: int, journal: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.stream", str(port), str(journal)]
        self._command += [str(EVERY_S)]
        self.made: list[str] = []
        self.start()

    def start(self) -> None:
        """Start it, and wait until it makes readings."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        before = len(self.made)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: len(self.made) > before, "the node makes readings")

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let it do nothing meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a farewell."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.made += (line.strip() for line in said if line.endswith("\n"))


class Subscriber:
    """A client that looks for the broker without end.

    It subscribes with QoS 0, so that it has nothing to write: a client that fails to acknowledge to
    a broker that was killed drops what it had received, but not read yet.
    """

    def __init__(self, port: int) -> None:
        self.live: list[str] = []
        self.history: list[str] = []
        self._port = port
        self._subscribed, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._subscribe, daemon=True)
        self._thread.start()
        self.wait_until_subscribed()

    def wait_until_subscribed(self) -> None:
        """Wait until the broker that runs now sends what arrives."""
        assert self._subscribed.wait(20), "the subscriber has not found the broker"

    def wait_until_gone(self) -> None:
        """Wait until it has noticed that the broker is gone."""
        wait_until(lambda: not self._subscribed.is_set(), "the subscriber has lost the broker")

    def ids(self) -> set[str]:
        """All that have arrived."""
        return {*self.live, *self.history}

    def close(self) -> None:
        """Disconnect."""
        self._closed.set()
        self._client.disconnect()
        self._thread.join(10)

    def _subscribe(self) -> None:
        while not self._closed.is_set():
            self._client = client = paho.Client(
                CallbackAPIVersion.VERSION2, reconnect_on_failure=False
            )
            client.on_connect = lambda client, *_: client.subscribe(f"affectd/{NODE}/#", 0)
            client.on_subscribe = lambda *_: self._subscribed.set()
            client.on_disconnect = lambda *_: self._subscribed.clear()
            client.on_message = self._note
            try:
                client.connect("127.0.0.1", self._port)
            except OSError:
                time.sleep(0.01)
                continue
            client.loop_forever(retry_first_connection=False)

    def _note(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        if name in ("utterance", "history"):
            reading = json.loads(message.payload)
            assert reading.get("replayed", False) == (name == "history")
            (self.live if name == "utterance" else self.history).append(reading["id"])


if __name__ == "__main__":
    main()
