"""Are the readings at a microphone's pace those made as fast as the machine can?

`python -m benchmarks.hour --minutes 60` (`make hour`): an hour of a household goes through
`affectd run --input` at real-time pace, through `affectd run --input --fast`, and through
`affectd analyze`. Every reading and every change of mood is compared, and none may differ in
anything but its id and how long it took. Needs the extra `dev` and mosquitto.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from affectd.daemon.speech.vad import FRAME, RATE_HZ
from benchmarks import meter
from benchmarks.household import DATA, Household, write
from tests.conftest import AFFECTD, Mosquitto

ROUND: Final = (("talk", 120.0), ("silence", 30.0), ("speech", 60.0), ("noise", 60.0))
NIGHT: Final = ("silence", 660.0)  # after which the mood is idle
NIGHT_FROM_S: Final = 1800.0  # shorter recordings have no night
MATTERLESS: Final = frozenset({"event", "file", "id", "node", "time", "latency_ms", "start_s"})
WARM_S: Final = 300.0  # after which memory is expected to stand still
SHOWN: Final = 20  # differences, at most


@dataclass(slots=True)
class Said:
    """One reading, and what became of the mood before the next one."""

    start_frame: int  # of 30 ms in the recording
    fields: dict[str, Any]  # all that does not depend on when it was made
    moods: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists of readings beside each other."""

    compared: int
    moods: int  # changes of it
    differences: list[str]
    largest: float  # difference of two numbers in a field of that name; 0 if all are equal


def main() -> int:
    """Make the recording, play it, compare; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="length (default: 60)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the corpora")
    parser.add_argument("--seed", type=int, default=0, help="of the order (default: 0)")
    parser.add_argument("--folder", type=Path, help="keep recording and logs here")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if args.folder is None else args.folder
        folder.mkdir(parents=True, exist_ok=True)
        figures = hour(folder, args.minutes * 60, args.data, args.seed)
    differing = figures.pop("differences")
    for difference in differing[:SHOWN]:
        print(difference, file=sys.stderr)
    figures["differ"] = len(differing)
    if args.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in figures.items()))
    return 1 if differing or not figures["compared"] else 0


def hour(folder: Path, seconds: float, data: Path, seed: int) -> dict[str, Any]:
    """Play a household of so many seconds in three ways and compare them."""
    household, recording = Household(data, seed), folder / "household.wav"
    write(recording, household, list(scenes(seconds)))
    if not household.is_from_corpora:
        print(f"{data} lacks the corpora: the demo's speech is played", file=sys.stderr)
    read = analyzed(recording)
    broker = Mosquitto(folder)
    broker.start()
    try:
        fast = Run(recording, folder / "fast", broker.port, "--fast")
        fast.watch(seconds)
        paced = Run(recording, folder / "paced", broker.port)
        paced.watch(seconds)
    finally:
        broker.stop()
    first = read[0].start_frame if read else 0
    at_pace, at_once = readings(paced.log, first), readings(fast.log, first)
    main, offline = compare(at_pace, at_once), compare(at_once, read, with_moods=False)
    return {
        "minutes": seconds / 60,
        "compared": main.compared,
        "changes_of_mood": main.moods,
        "largest_difference": max(main.largest, offline.largest),
        "idle": sum(mood["mood"] == "idle" for said in at_pace for mood in said.moods),
        **paced.figures(),
        "differences": [
            *(f"paced and fast: {difference}" for difference in main.differences),
            *(f"fast and analyze: {difference}" for difference in offline.differences),
        ],
    }


def scenes(seconds: float) -> Iterator[tuple[str, float]]:
    """Rounds of talk, silence, speech and noise, one night among them, cut to the length."""
    left, number = seconds, 0
    while left > 0:
        is_night = seconds >= NIGHT_FROM_S and number == 2 * len(ROUND)
        name, length = NIGHT if is_night else ROUND[number % len(ROUND)]
        yield name, min(length, left)
        left -= length
        number += 1


class Run:
    """`affectd run --input` with a voice, a log and a broker of its own."""

    def __init__(self, recording: Path, folder: Path, port: int, *options: str) -> None:
        folder.mkdir()  # what an earlier run has learnt would be heard in the readings
        self.log, self._stderr = folder / "readings.jsonl", folder / "stderr"
        self._command = [*AFFECTD, "run", "--input", str(recording), *options]
        self._environment = os.environ | {
            "AFFECTD_LOG__PATH": str(self.log),
            "AFFECTD_EMOTION__VOICE_FOLDER": str(folder),
            "AFFECTD_MQTT__PORT": str(port),
            "AFFECTD_MQTT__HOST": "127.0.0.1",
            "AFFECTD_NODE": folder.name,
            "XDG_STATE_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        self._uses: list[meter.Use] = []

    def watch(self, seconds: float) -> None:
        """Let it play to its end; ends this program if it fails."""
        with (
            self._stderr.open("w") as said,
            tqdm(total=round(seconds), unit="s", desc=self.log.parent.name, mininterval=1) as bar,
        ):
            began = time.monotonic()
            process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=said
            )
            while process.poll() is None:
                with suppress(OSError, KeyError):  # it has ended just now
                    self._uses.append(meter.use(process.pid))
                time.sleep(1)
                bar.update(min(round(time.monotonic() - began), bar.total) - bar.n)
        if process.returncode != 0:
            sys.exit(f"affectd ended with {process.returncode}:\n{self._stderr.read_text()}")

    def figures(self) -> dict[str, float]:
        """What the process has used, its first second left out."""
        first, last = self._uses[min(1, len(self._uses) - 1)], self._uses[-1]
        if last.at_s <= first.at_s:
            return {}
        warm = next((use for use in self._uses if use.at_s - first.at_s >= WARM_S), first)
        return {
            "paced_cpu_share": round(meter.cpu_share(first, last), 5),
            "paced_peak_mb": round(last.peak_mb, 1),
            "paced_grown_mb": round(last.resident_mb - warm.resident_mb, 2),
        }


def readings(log: Path, first_frame: int) -> list[Said]:
    """The readings of a log, with the changes of mood behind each.

    first_frame: where the first one is in the recording; the times in the log tell how long after
    it the others began, to a millisecond, and all begin with a frame of 30 ms.
    """
    said: list[Said] = []
    began = 0.0
    for line in log.read_text().splitlines():
        event = json.loads(line)
        fields = {name: value for name, value in event.items() if name not in MATTERLESS}
        if event["event"] == "utterance":
            at = datetime.fromisoformat(event["time"]).timestamp()
            began = began or at
            frame = first_frame + round((at - began) * RATE_HZ / FRAME)
            said.append(Said(frame, fields))
        elif said:
            del fields["since"]  # fast, an idle mood begins with a block, which is longer
            said[-1].moods.append(fields)
    return said


def analyzed(recording: Path) -> list[Said]:
    """What `affectd analyze` says of a recording; it knows no mood."""
    done = subprocess.run(
        [*AFFECTD, "analyze", "--json", str(recording)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    found = map(json.loads, done.stdout.splitlines())
    return [
        Said(
            round(one["start_s"] * RATE_HZ / FRAME),
            {name: value for name, value in one.items() if name not in MATTERLESS},
        )
        for one in found
    ]


def compare(ones: Sequence[Said], others: Sequence[Said], with_moods: bool = True) -> Comparison:
    """Find every field in which two ways of hearing the same recording differ."""
    differences, largest = [], 0.0
    if len(ones) != len(others):
        differences.append(f"{len(ones)} readings are not {len(others)}")
    pairs = list(zip(ones, others, strict=False))
    for number, (one, other) in enumerate(pairs):
        left, right = (dict(_flat(_all(said, with_moods))) for said in (one, other))
        for name in sorted(left.keys() | right.keys()):
            a, b = left.get(name), right.get(name)
            if a != b:
                differences.append(f"reading {number}: {name} is {a!r} and {b!r}")
                if isinstance(a, int | float) and isinstance(b, int | float):
                    largest = max(largest, abs(a - b))
    moods = sum(len(said.moods) for said in ones)
    return Comparison(len(pairs), moods, differences, largest)


def _all(said: Said, with_moods: bool) -> dict[str, Any]:
    moods = dict(enumerate(said.moods)) if with_moods else {}
    return {"start_frame": said.start_frame, **said.fields, "moods": moods}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested objects, by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


if __name__ == "__main__":
    sys.exit(main())
