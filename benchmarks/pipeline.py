"""What affectd costs, beside the ancestor's way, on the same recording.

`make bench`, or `python benchmarks/pipeline.py --minutes 10 --paced-minutes 5`: needs the extras
`train` and `dev`, and mosquitto. Timings on a busy machine are noisy: compare the two columns.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import soundfile
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.bundle import DEFAULT

RATE_HZ = 16_000
AFFECTD = [sys.executable, "-m", "affectd.daemon"]
ANCESTOR = [sys.executable, str(Path(__file__).with_name("ancestor_way.py"))]
STARTS = 5


@dataclass
class Cost:
    """What one way of doing it costs."""

    real_time_factor: float  # seconds of audio a second
    cpu_share: float  # of one core, at real-time pace
    peak_mb: float
    start_s: float  # from process start until it listens
    latencies_ms: list[float] = field(default_factory=list)  # end of utterance to answer

    def percentile(self, share: float) -> float:
        """A percentile of the latencies."""
        return float(np.percentile(self.latencies_ms, share))


def main() -> None:
    """Make the recording, measure both ways and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length (default: 10)")
    parser.add_argument(
        "--paced-minutes", type=float, default=5.0, help="played at real-time pace (default: 5)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long, paced = folder / "long.wav", folder / "paced.wav"
        seconds = make_recording(long, args.minutes * 60)
        make_recording(paced, args.paced_minutes * 60)
        print(f"{seconds:.0f} s of acted speech and silence, on {os.cpu_count()} cores", flush=True)
        print_table(measure_affectd(long, paced, folder), measure_ancestor(long))


def make_recording(path: Path, seconds: float) -> float:
    """Write the demo's speech and as much faint noise in turn, and return the length."""
    speech = Recording(DEFAULT / "demo" / "recording.ogg").samples()
    noise = np.random.default_rng(0).normal(0, 10, speech.size).astype(np.int16)
    minute = np.concatenate([speech, noise])
    samples = np.tile(minute, int(np.ceil(seconds * RATE_HZ / minute.size)))
    samples = samples[: round(seconds * RATE_HZ)]
    soundfile.write(path, samples, RATE_HZ)
    return float(samples.size / RATE_HZ)


@dataclass
class Run:
    """A program that was watched while it ran."""

    output: str
    wall_s: float
    steady_cpu_share: float  # of one core, from 1 s after its start to its end
    peak_mb: float  # of resident memory


def run(command: list[str], **options: Any) -> Run:
    """Run a program and watch its processor time and its memory; end if it fails."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, **options)
        samples = [(0.0, 0.0)]  # seconds since its start, CPU seconds
        peak_mb = 0.0
        while process.poll() is None:
            with contextlib.suppress(OSError):  # it has ended just now
                peak_mb = max(peak_mb, _peak_mb(process.pid))
                samples.append((time.perf_counter() - began, _cpu_s(process.pid)))
            time.sleep(0.01 if time.perf_counter() - began < 1 else 0.2)
        wall_s = time.perf_counter() - began
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
        steady = [sample for sample in samples if sample[0] >= 1.0] or samples
        (start, cpu), (end, later) = steady[0], steady[-1]
        output.seek(0)
        return Run(output.read(), wall_s, (later - cpu) / max(end - start, 1e-9), peak_mb)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_affectd(long: Path, paced: Path, folder: Path) -> Cost:
    """The fast path on the long recording, the service at real-time pace on the shorter one."""
    analyze = [*AFFECTD, "analyze", "--json"]
    short = folder / "short.wav"
    make_recording(short, 3.0)
    slow, quick = (run([*analyze, str(p)], stderr=subprocess.DEVNULL) for p in (long, short))
    # The difference leaves the start-up out, as the ancestor's figure does.
    seconds = soundfile.info(long).duration - soundfile.info(short).duration
    with Subscriber(folder) as subscriber:
        service = [*AFFECTD, "run", "--input", str(paced)]
        environment = os.environ | {
            "AFFECTD_LOG__PATH": str(folder / "readings.jsonl"),
            "AFFECTD_EMOTION__VOICE_FOLDER": str(folder),
            "AFFECTD_MQTT__HOST": "127.0.0.1",
            "AFFECTD_MQTT__PORT": str(subscriber.port),
        }
        start_s = statistics.median(start_of(service, environment) for _ in range(STARTS))
        subscriber.latencies_ms.clear()
        played = run(service, env=environment, stderr=subprocess.DEVNULL)
    return Cost(
        seconds / (slow.wall_s - quick.wall_s),
        played.steady_cpu_share,
        played.peak_mb,
        start_s,
        subscriber.latencies_ms,
    )


def start_of(service: list[str], environment: dict[str, str]) -> float:
    """Seconds from process start until the service says that it hears."""
    began = time.perf_counter()
    process = subprocess.Popen(
        service, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    took = next(time.perf_counter() - began for line in process.stderr if "hearing" in line)
    process.terminate()
    process.communicate()
    return took


class Subscriber:
    """A mosquitto of our own and a client that notes how late each reading arrives."""

    def __init__(self, folder: Path) -> None:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.latencies_ms: list[float] = []
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")

    def __enter__(self) -> "Subscriber":
        """Start broker and client."""
        self._broker = subprocess.Popen(
            ["mosquitto", "-c", str(self._config)], stderr=subprocess.DEVNULL
        )
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("affectd/+/utterance", 1)
        self._client.on_message = self._note
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.connect_async("127.0.0.1", self.port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self._client.disconnect()
        self._client.loop_stop()
        self._broker.terminate()
        self._broker.wait()

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        reading = json.loads(message.payload)
        began = datetime.fromisoformat(reading["time"]).timestamp()
        self.latencies_ms.append(1000 * (time.time() - began - reading["duration_s"]))


def measure_ancestor(long: Path) -> Cost:
    """librosa.load, the mean of 40 MFCCs and Keras predict on every 3 s of the same recording."""
    done = run([*ANCESTOR, str(long)], stderr=subprocess.DEVNULL)
    measured = json.loads(done.output.splitlines()[-1])
    pieces, cpu_s, wall_s = measured["latencies_ms"], measured["cpu_s"], measured["wall_s"]
    seconds = 3.0 * len(pieces)
    return Cost(seconds / wall_s, cpu_s / seconds, done.peak_mb, measured["start_s"], pieces)


def print_table(ours: Cost, theirs: Cost) -> None:
    """Print both columns in Markdown."""
    rows = [
        ("real-time factor, as fast as one core can", "{:.0f} x", "real_time_factor"),
        ("CPU share of one core at real-time pace", "{:.2%}", "cpu_share"),
        ("peak memory", "{:.0f} MB", "peak_mb"),
        ("process start to first frames heard", "{:.2f} s", "start_s"),
    ]
    print("| | affectd | ancestor |\n| --- | --- | --- |")
    for name, form, attribute in rows:
        cells = [form.format(getattr(cost, attribute)) for cost in (ours, theirs)]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    for name, share in (("median", 50), ("p99", 99)):
        cells = [f"{cost.percentile(share):.1f} ms" for cost in (ours, theirs)]
        print(f"| end of utterance to answer, {name} | {cells[0]} | {cells[1]} |")
    print(
        f"\naffectd's answer is what an MQTT subscriber receives ({len(ours.latencies_ms)} "
        f"readings); the ancestor's is what predict returns ({len(theirs.latencies_ms)} pieces)."
    )


if __name__ == "__main__":
    main()
