"""How much affectd writes to an SD card: blocks that reach a file system of its own, as root.

`python -m benchmarks.wear [--minutes 15]`: plays the demo's first utterance at a microphone's pace
into `affectd run`, again and again, with its state folder on an ext4 image in a loop device, and
counts what the kernel writes to that device, with the file system's own journal. At several paces,
with the log of readings in memory and on the device, all at the same time. Needs mosquitto.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.vad import RATE_HZ
from tests.bundles import gated
from tests.conftest import AFFECTD, DEMO, Mosquitto

DAY_S: Final = 86_400.0
SECTOR: Final = 512  # bytes, in /sys/block/*/stat. Source: Linux, Documentation/block/stat.rst
MEMORY: Final = Path("/dev/shm")  # noqa: S108
IMAGE: Final = 256_000_000  # bytes
UTTERANCE: Final = slice(int(0.7 * RATE_HZ), int(3.9 * RATE_HZ))  # of the demo, and silence
# Readings that come evenly: in bursts, many would share a commit of the file system.
PACES: Final = {"silence": 0, "2000 readings a day": 2_000, "a reading every 5 s": 17_280}


WARM_S: Final = 60.0  # after which is counted: a start writes, too
END_S: Final = 10.0  # before the recording's end, until when is counted


@dataclass(frozen=True, slots=True)
class Run:
    """`affectd run` whose state lies on a device of its own."""

    said: Path  # a line for each reading
    device: str

    def count(self) -> tuple[int, int]:
        """Readings, and bytes written to the device, until now."""
        sectors = int(Path(f"/sys/block/{self.device}/stat").read_text().split()[6])
        return self.said.read_text().count("\n"), sectors * SECTOR


def main() -> int:
    """Run all at the same time, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="of all (default: 15)")
    minutes = parser.parse_args().minutes
    if os.geteuid() != 0:
        print("a loop device must be mounted, which takes root", file=sys.stderr)
        return 2
    cases = [(pace, log) for pace in PACES for log in ("memory", "device")]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        broker = Mosquitto(Path(name))
        broker.start()
        stack.callback(broker.stop)
        bundle = gated(Path(name) / "bundle", threshold=0.0)
        runs = [
            stack.enter_context(_started(Path(name), *case, broker.port, bundle, minutes))
            for case in cases
        ]
        time.sleep(WARM_S)
        began_s, before = time.monotonic(), [run.count() for run in runs]
        time.sleep(minutes * 60 - WARM_S - END_S)
        over_s, after = time.monotonic() - began_s, [run.count() for run in runs]
        print("| pace | log in | readings | written, kB | a reading, kB | a day, MB |")
        print("| --- | --- | --- | --- | --- | --- |")
        for case, earlier, later in zip(cases, before, after, strict=True):
            readings, written = (new - old for new, old in zip(later, earlier, strict=True))
            each = f"{written / readings / 1e3:.1f}" if readings else ""
            day = f"{written / over_s * DAY_S / 1e6:.0f}"
            print(f"| {' | '.join(case)} | {readings} | {written / 1e3:.0f} | {each} | {day} |")
    return 0


@contextmanager
def _started(
    folder: Path, pace: str, log: str, port: int, bundle: Path, minutes: float
) -> Iterator[Run]:
    """Play readings at a pace; log: where the log of readings is, in memory or on the device."""
    name = f"{pace.replace(' ', '-')}-{log}"
    recording, said = folder / f"{name}.wav", folder / f"{name}.said"
    soundfile.write(recording, _recording(PACES[pace], minutes), RATE_HZ)
    with _mounted(folder / name) as device, said.open("w") as lines:
        settings = {
            "XDG_STATE_HOME": folder / name,
            "AFFECTD_LOG__PATH": (MEMORY if log == "memory" else folder / name) / f"{name}.jsonl",
            "AFFECTD_NODE": name,
            "AFFECTD_MQTT__PORT": port,
            "AFFECTD_EMOTION__BUNDLE": bundle,
        }
        process = subprocess.Popen(
            [*AFFECTD, "run", "--input", str(recording)],
            env=os.environ | {key: str(value) for key, value in settings.items()},
            stdout=lines,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Run(said, device)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            (MEMORY / f"{name}.jsonl").unlink(missing_ok=True)


def _recording(readings_a_day: int, minutes: float) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """An utterance each DAY_S / readings_a_day in faint hiss, mono, 16 kHz."""
    random = np.random.default_rng(0)
    samples = random.integers(-2, 3, int(minutes * 60 * RATE_HZ)).astype(np.int16)
    utterance = Recording(DEMO).samples()[UTTERANCE]
    count = round(readings_a_day / DAY_S * minutes * 60)
    for start in np.linspace(0, samples.size - utterance.size, count).astype(int):
        samples[start : start + utterance.size] = utterance
    return samples


@contextmanager
def _mounted(folder: Path) -> Iterator[str]:
    """An ext4 file system in a file, mounted as Raspberry Pi OS mounts its own; its device."""
    image = folder.with_suffix(".ext4")
    image.touch()
    os.truncate(image, IMAGE)
    lazy = "lazy_itable_init=0,lazy_journal_init=0"  # else ext4 goes on writing after it is made
    subprocess.run(["mkfs.ext4", "-q", "-E", lazy, image], check=True)
    folder.mkdir()
    subprocess.run(["mount", "-o", "loop,noatime", image, folder], check=True)
    try:
        subprocess.run(["sync", "-f", folder], check=True)
        listed = subprocess.run(
            ["losetup", "-j", image], capture_output=True, text=True, check=True
        )
        yield listed.stdout.split(":")[0].removeprefix("/dev/")
    finally:
        subprocess.run(["umount", folder], check=True)


if __name__ == "__main__":
    sys.exit(main())
