"""Does affectd hear again after every failure, and leave nothing behind?

`python -m benchmarks.soak --failures 100` in a checkout (`make soak`): runs `affectd run` with a
PulseAudio of its own and mosquitto, and lets the microphone fail at random. Needs the extra `dev`
and the Debian packages of the tests.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import AFFECTD, Listener, Mosquitto, SoundServer, wait_until

WARM = 5  # failures before what is held is measured for the first time


def main() -> None:
    """Let it fail, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--failures", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of their order (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = soak(Path(name), args.failures, args.seed)
    if args.json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key.replace('_', ' ')}: {value}")


def soak(folder: Path, failures: int, seed: int) -> dict[str, Any]:
    """Let the microphone fail so often; return recoveries and what the process holds."""
    broker, server = Mosquitto(folder), SoundServer(folder / "pulse")
    broker.start()
    server.start()
    listener = Listener(broker.port)
    environment = server.environment | {
        "AFFECTD_MQTT__PORT": str(broker.port),
        "AFFECTD_NODE": "soak",
        "AFFECTD_LOG__PATH": "/dev/null",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    said = (folder / "said").open("w")
    service = subprocess.Popen([*AFFECTD, "run"], env=environment, stdout=said, stderr=said)
    try:
        wait_until(server.recordings, "the microphone is open")
        server.play(np.zeros(480, np.int16))
        return _fail(server, listener, service, failures, random.Random(seed))  # noqa: S311
    finally:
        service.terminate()
        service.wait(30)
        said.close()
        listener.close()
        server.close()
        broker.stop()


def _fail(
    server: SoundServer,
    listener: Listener,
    service: "subprocess.Popen[bytes]",
    failures: int,
    chance: random.Random,
) -> dict[str, Any]:
    kinds: dict[str, Callable[[], float]] = {
        "unplugged": lambda: _unplugged(server, listener),
        "sound server killed": lambda: _killed(server, listener),
        "another device took over": lambda: _taken_over(server, listener),
        "delivers nothing": lambda: _starved(server, listener),
    }
    _wait_until_heard(listener)
    took: dict[str, list[float]] = {name: [] for name in kinds}
    before = _held(service.pid)
    for number in range(failures):
        name = list(kinds)[number] if number < len(kinds) else chance.choice(list(kinds))
        took[name].append(kinds[name]())
        if number + 1 == WARM:
            before = _held(service.pid)
        print(f"\r{number + 1} of {failures}", end="", file=sys.stderr, flush=True)
    after, health = _held(service.pid), _health(listener)
    return {
        "failures": failures,
        "listening": health["listening"],
        "lost_s": health["lost_s"],
        "gaps": health["gaps"],
        "slowest_recovery_s": {name: round(max(s), 2) for name, s in took.items() if s},
        **{f"{name}_grown": after[name] - before[name] for name in before},
    }


def _unplugged(server: SoundServer, listener: Listener) -> float:
    server.unplug()
    _wait_until_lost(listener)
    return _until_back(listener, server.plug)


def _killed(server: SoundServer, listener: Listener) -> float:
    server.kill()
    _wait_until_lost(listener)
    return _until_back(listener, server.start)


def _taken_over(server: SoundServer, listener: Listener) -> float:
    """Another microphone, which says nothing, takes the place of the one that is unplugged."""
    server.plug("other")
    server.unplug()
    _wait_until_lost(listener)
    return _until_back(listener, server.plug)


def _starved(server: SoundServer, listener: Listener) -> float:
    server.silence.set()
    _wait_until_lost(listener)
    return _until_back(listener, server.silence.clear)


def _until_back(listener: Listener, mend: Callable[[], None]) -> float:
    """Seconds from the device's return until it is heard."""
    mend()
    began = time.monotonic()
    _wait_until_heard(listener)
    return time.monotonic() - began


def _health(listener: Listener) -> dict[str, Any]:
    told = listener.on("affectd/soak/health")
    newest: dict[str, Any] = json.loads(told[-1]) if told else {}
    return newest


def _wait_until_lost(listener: Listener) -> None:
    wait_until(lambda: _health(listener).get("listening") == "lost", "it is lost")


def _wait_until_heard(listener: Listener) -> None:
    wait_until(lambda: _health(listener).get("listening") == "listening", "it is heard", 30)


def _held(pid: int) -> dict[str, int]:
    """What a process holds: threads, file descriptors, resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {
        name: rest.split()[0]
        for name, _, rest in (line.partition(":\t") for line in lines)
        if rest.split()
    }
    return {
        "threads": int(values["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208
        "resident_kb": int(values["VmRSS"]),
    }


if __name__ == "__main__":
    main()
