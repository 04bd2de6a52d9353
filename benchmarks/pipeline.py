"""What affectd costs: processor, memory, start, latency, beside its targets and beside others.

`make bench`, or `python -m benchmarks.pipeline --minutes 10`: a recording of household silence,
noise and unbroken speech is played at the pace of a microphone into `affectd run`, which publishes
to a real mosquitto; silence and speech go through a virtual sound card too, as a recording needs no
sound system, but is read and decoded by the process itself. Then the same is read by
`affectd analyze`, by the ancestor's way, and by others that listen all the time. Needs the extra
`dev`, for the others `bench`, mosquitto and, for the sound card, pulseaudio.
Other load on the machine makes latencies worse; CPU shares at pace depend on how cold its caches
are after each pause, and may differ by half from run to run: repeat them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, Final

import numpy as np
import paho.mqtt.client as paho
import soundfile
from paho.mqtt.enums import CallbackAPIVersion
from tqdm import tqdm

from affectd.daemon.speech.vad import RATE_HZ
from benchmarks import meter, others, table
from benchmarks.household import DATA, Household, Part, write
from tests.conftest import AFFECTD, Mosquitto, SoundServer, wait_until

ONE_CORE: Final = ["taskset", "--cpu-list", "0"]
ANCESTOR: Final = [sys.executable, str(Path(__file__).with_name("ancestor_way.py"))]
# Shares of the length; what comes first warms up and is not counted.
MIX: Final = (
    ("warm-up", "speech", 0.04),
    ("warm-up", "silence", 0.01),
    ("silence", "silence", 0.20),
    ("noise", "noise", 0.30),
    ("speech", "speech", 0.45),
)
TAIL_S: Final = 3.0  # of silence at the end, so that the process is still there to be asked
SETTLE_S: Final = 1.0  # a part's first second may still work on what was said before it
REPEATS: Final = 3
OTHERS_SHARE: Final = 0.1  # of the length that the others hear at pace
CARD_SHARE: Final = 0.1  # of the length that each of silence and speech takes on the sound card
STAGES_SHARE: Final = 0.2  # of the length that is played with the clock around each stage


@dataclass(frozen=True, slots=True)
class Reading:
    """A published utterance as a subscriber saw it."""

    end_s: float  # of the utterance, by the clock of time.time()
    daemon_ms: float  # from the arrival of its last samples to its publication
    seen_ms: float  # from its end to the subscriber


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length (default: 10)")
    parser.add_argument("--starts", type=int, default=5, help="of the process (default: 5)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the corpora")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), args.minutes * 60, args.data, args.starts)
    print(json.dumps(figures) if args.json else table.tables(figures))


def measure(folder: Path, seconds: float, data: Path, starts: int) -> dict[str, Any]:
    """Everything, by name; what could not be measured is None, and `left_out` says why."""
    household = Household(data)
    left_out = [] if household.is_from_corpora else [f"corpora: {data} lacks them; demo played"]
    recording, parts = record(folder / "household.wav", household, seconds)
    short, _ = record(folder / "short.wav", household, STAGES_SHARE * seconds)
    few, _ = record(folder / "few.wav", household, OTHERS_SHARE * seconds)
    figures: dict[str, Any] = {"seconds": seconds, "cores": os.cpu_count()}
    with Bench(folder) as bench:
        figures["start_s"] = statistics.median(bench.start_s(recording) for _ in range(starts))
        figures |= bench.paced(recording, parts)
        figures["card_cpu_share"] = None
        if which("pulseaudio"):
            figures["card_cpu_share"] = bench.card(household, CARD_SHARE * seconds)
        else:
            left_out.append("sound card: pulseaudio is missing; install its Debian package")
        figures["stages_ms_per_s"] = bench.stages(short, STAGES_SHARE * seconds)
    figures |= analyze_speed(recording, parts[-1], folder)
    figures["ancestor"] = None
    if find_spec("keras") and find_spec("librosa"):
        figures["ancestor"] = ancestor(recording)
    else:
        left_out.append("ancestor: keras or librosa is missing; install the extra `train`")
    if names := others.missing():
        left_out.append(f"others: {', '.join(names)} missing; install the extra `bench`")
    figures["others"] = {
        key: other_cost(key, few)
        for key, other in others.OTHERS.items()
        if other.package not in names
    }
    return figures | {"left_out": left_out}


def record(path: Path, household: Household, seconds: float) -> tuple[Path, list[Part]]:
    """Write the mix; return its parts as they are counted."""
    played = [(kind, share * seconds) for _, kind, share in MIX]
    placed = write(path, household, [*played, ("silence", TAIL_S)])
    named = [Part(mix[0], part.start_s, part.end_s) for mix, part in zip(MIX, placed, strict=False)]
    return path, named


class Bench:
    """A mosquitto, a subscriber, and `affectd run` publishing to them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._broker, self._runs = folder, Mosquitto(folder), 0

    def __enter__(self) -> "Bench":
        """Start the broker."""
        self._broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._broker.stop()

    def start_s(self, recording: Path) -> float:
        """Seconds from process start until the service says that it hears."""
        process, _, took_s = self._start([*AFFECTD, "run", "--input", str(recording)])
        process.terminate()
        process.communicate()
        return took_s

    def paced(self, recording: Path, parts: Sequence[Part]) -> dict[str, Any]:
        """Processor and memory in each part, and the latencies of its readings."""
        with Subscriber(self._broker.port) as subscriber:
            process, began, _ = self._start([*AFFECTD, "run", "--input", str(recording)])
            began_unix = time.time() - (time.monotonic() - began)
            uses = _use_in(process.pid, parts, began)
            _end(process)
        counted = [part for part in parts if part.name != "warm-up"]
        heard = {
            part.name: [
                reading
                for reading in subscriber.readings
                if part.start_s < reading.end_s - began_unix <= part.end_s
            ]
            for part in counted
        }
        all_heard = [reading for readings in heard.values() for reading in readings]
        warm, last = uses[counted[0].name][0], uses[counted[-1].name][1]
        return {
            "cpu_share": {part.name: meter.cpu_share(*uses[part.name]) for part in counted},
            "readings": {name: len(readings) for name, readings in heard.items()},
            "daemon_ms": _percentiles([reading.daemon_ms for reading in all_heard]),
            "seen_ms": _percentiles([reading.seen_ms for reading in all_heard]),
            "peak_mb": last.peak_mb,
            "warm_mb": warm.resident_mb,
            "grown_mb": last.resident_mb - warm.resident_mb,
        }

    def card(self, household: Household, seconds: float) -> dict[str, float]:
        """CPU share of one core in silence and in speech from a virtual sound card."""
        server = SoundServer(self._folder / "pulse")
        try:
            server.start()
            server.play(household.part("silence", 1.0))
            process, _, _ = self._start([*AFFECTD, "run"], server.environment)
            wait_until(server.recordings, "the microphone is open")
            shares = {}
            for name in ("silence", "speech"):
                server.play(household.part(name, seconds + SETTLE_S))
                began = time.monotonic()
                part = Part(name, 0.0, seconds + SETTLE_S)
                shares[name] = meter.cpu_share(*_use_in(process.pid, [part], began)[name])
            process.terminate()
            _end(process)
        finally:
            server.close()
        return shares

    def stages(self, recording: Path, seconds: float) -> dict[str, dict[str, float]]:
        """CPU milliseconds a second of audio, by part and by stage."""
        ends, at_s = [], 0.0
        for name, _, share in MIX:
            at_s += share * seconds
            ends.append((name, at_s))
        out = self._folder / "stages.json"
        words = [str(out), json.dumps(ends), "run", "--input", str(recording)]
        process, began, _ = self._start([sys.executable, "-m", "benchmarks.stages", *words])
        _wait(began + at_s, began, "stages")
        _end(process)
        lengths = {name: share * seconds for name, _, share in MIX}
        return {
            name: {stage: ms / lengths[name] for stage, ms in spent.items()}
            for name, spent in json.loads(out.read_text()).items()
            if name != "warm-up"
        }

    def _start(
        self, command: list[str], base: Mapping[str, str] = os.environ
    ) -> tuple["subprocess.Popen[str]", float, float]:
        """A process, when it began to hear by time.monotonic(), and how long that took it."""
        self._runs += 1
        folder = self._folder / str(self._runs)  # with no voice in it
        folder.mkdir()
        environment = {
            **base,
            "AFFECTD_LOG__PATH": str(folder / "readings.jsonl"),
            "AFFECTD_EMOTION__VOICE_FOLDER": str(folder),
            "AFFECTD_MQTT__HOST": "127.0.0.1",
            "AFFECTD_MQTT__PORT": str(self._broker.port),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        }
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "hearing" in line:
                now = time.monotonic()
                return process, now, now - started
        sys.exit(f"{' '.join(command)} ended:\n{''.join(said)}")


class Subscriber:
    """An MQTT client that notes how late each reading arrives."""

    def __init__(self, port: int) -> None:
        self.readings: list[Reading] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("affectd/+/utterance", 1)
        self._client.on_message = self._note
        self._port = port

    def __enter__(self) -> "Subscriber":
        """Connect."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now_s, reading = time.time(), json.loads(message.payload)
        end_s = datetime.fromisoformat(reading["time"]).timestamp() + reading["duration_s"]
        self.readings.append(Reading(end_s, reading["latency_ms"], 1000 * (now_s - end_s)))


def analyze_speed(recording: Path, speech: Part, folder: Path) -> dict[str, float]:
    """Seconds of audio that `affectd analyze` reads a second, on one core, without its start."""
    samples, _ = soundfile.read(recording, dtype="int16")
    mixed = speed(samples, folder)
    alone = speed(samples[round(speech.start_s * RATE_HZ) : round(speech.end_s * RATE_HZ)], folder)
    return {"analyze_x": mixed, "analyze_speech_x": alone}


def speed(samples: Any, folder: Path) -> float:
    """The median of REPEATS differences between the whole and its first tenth."""
    long, short = folder / "long.wav", folder / "tenth.wav"
    soundfile.write(long, samples, RATE_HZ)
    soundfile.write(short, samples[: samples.size // 10], RATE_HZ)
    command = [*ONE_CORE, *AFFECTD, "analyze", "--json"]
    took_s = []
    for _ in tqdm(range(REPEATS), desc="analyze", mininterval=1):
        walls = []
        for path in (long, short):
            began = time.monotonic()
            subprocess.run([*command, str(path)], check=True, capture_output=True)
            walls.append(time.monotonic() - began)
        took_s.append(walls[0] - walls[1])
    return float(0.9 * samples.size / RATE_HZ / statistics.median(took_s))


def ancestor(recording: Path) -> dict[str, Any]:
    """librosa.load, the mean of 40 MFCCs and Keras predict on every 3 s of the same recording."""
    process = subprocess.Popen(
        [*ANCESTOR, str(recording)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    peak_mb = 0.0
    while process.poll() is None:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        time.sleep(0.1)
    assert process.stdout is not None
    measured = json.loads(process.stdout.read().splitlines()[-1])
    seconds = 3.0 * len(measured["latencies_ms"])
    return {
        "real_time_factor": seconds / measured["wall_s"],
        "cpu_share": measured["cpu_s"] / seconds,
        "peak_mb": peak_mb,
        "start_s": measured["start_s"],
        "answer_ms": _percentiles(measured["latencies_ms"]),
    }


def other_cost(key: str, recording: Path) -> dict[str, float]:
    """What one of the others costs at the pace of a microphone, and as fast as it can."""
    command = [sys.executable, "-m", "benchmarks.others", key, str(recording)]
    slow, start_s = _told(command)
    fast, _ = _told([*ONE_CORE, *command, "--fast"])
    return {**slow, "fast_cpu_share": fast["cpu_share"], "start_s": start_s}


def _told(command: list[str]) -> tuple[dict[str, float], float]:
    """What a program prints at its end, and the seconds until its first line."""
    print(" ".join(command[1:]), file=sys.stderr)
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start_s = time.monotonic() - began
        rest = process.stdout.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
    costs: dict[str, float] = json.loads(rest)
    return costs, start_s


def _use_in(
    pid: int, parts: Sequence[Part], began: float
) -> dict[str, tuple[meter.Use, meter.Use]]:
    """What a process uses in each part of what it hears since `began`."""
    uses = {}
    for part in parts:
        settle_s = min(SETTLE_S, (part.end_s - part.start_s) / 2)
        _wait(began + part.start_s + settle_s, began, part.name)
        before = meter.use(pid)
        _wait(began + part.end_s, began, part.name)
        uses[part.name] = before, meter.use(pid)
    return uses


def _wait(until: float, began: float, what: str) -> None:
    """Sleep until a moment of time.monotonic(), and show how far it is on standard error."""
    total = round(until - began)
    with tqdm(total=total, unit="s", desc=what, mininterval=5, leave=False) as bar:
        while (left := until - time.monotonic()) > 0:
            bar.update(min(total, round(time.monotonic() - began)) - bar.n)
            time.sleep(min(1.0, left))


def _end(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f"affectd ended with status {process.returncode}:\n{said}")


def _peak_mb(pid: int) -> float:
    try:
        return meter.use(pid).peak_mb
    except (OSError, KeyError):  # it has ended just now
        return 0.0


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": float(np.median(values)), "p99": float(np.percentile(values, 99))}


if __name__ == "__main__":
    main()
