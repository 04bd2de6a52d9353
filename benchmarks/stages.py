"""Where the time goes: `affectd run` with a clock around each stage.

`python -m benchmarks.stages OUT PARTS run --input FILE` runs the command that follows PARTS (a JSON
list of names and seconds at which they end) in this process, and writes to OUT the CPU milliseconds
that each stage took in each part. The clock is the thread's CPU time, read twice at every call of a
stage, about 2 us, so that the sum is a little more than without it. What one stage spends inside
another is counted there alone.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does before it imports numpy

from affectd.daemon import cli
from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.classifier import Classifier, Network
from affectd.daemon.emotion.mood import Mood
from affectd.daemon.emotion.voice_file import KeptVoice
from affectd.daemon.publish.console import Console
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.publish.reading_log import ReadingLog
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import MfccStream
from affectd.daemon.speech.segmenter import Segmenter
from affectd.daemon.speech.vad import RATE_HZ, Vad

REST: Final = "rest"
THREADS: Final = "other Python threads (MQTT)"
NATIVE: Final = "threads of numpy and TensorFlow Lite"
# By their files.
NETWORKS: Final = {"encoder": "encoder", "cnn": "CNN", "lstm": "LSTM", "speech": "gate"}
# What is timed: the stage, the class and its methods; generators are timed between two yields.
TIMED: Final[tuple[tuple[str, type, tuple[str, ...]], ...]] = (
    ("VAD", Vad, ("is_speech",)),
    ("segmenter", Segmenter, ("push", "flush")),
    ("framing (ear)", Ear, ("push", "flush")),
    ("MFCC", MfccStream, ("push",)),
    ("normalise and decide", Classifier, ("encode", "read")),
    ("voice", KeptVoice, ("mean_std", "hear")),
    ("mood", Mood, ("push", "rest")),
    ("encode and publish", MqttPublisher, ("utterance", "mood", "speech", "health")),
    ("log and console", ReadingLog, ("utterance", "mood")),
    ("log and console", Console, ("utterance",)),
    ("recording, waiting for its pace", Recording, ("blocks",)),
)
GENERATORS: Final = frozenset({"blocks", "Ear.push"})


class Stopwatch:
    """CPU time of nested stages, each without what it spends in others."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._inner = [0.0]  # what the stages that are running have spent in others
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    def call(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do some work on a stage's account."""
        began = self._clock()
        self._inner.append(0.0)
        try:
            return work()
        finally:
            took = self._clock() - began
            self.spent_s[stage] += took - self._inner.pop()
            self._inner[-1] += took


def main() -> int:
    """Run the command with the clock and write the table."""
    out, parts, *command = sys.argv[1:]
    table = Table(Stopwatch(), json.loads(parts))
    table.install()
    status = cli.main(command)
    Path(out).write_text(json.dumps(table.parts))
    return status


class Table:
    """CPU milliseconds by part of the recording and by stage."""

    def __init__(self, watch: Stopwatch, ends: list[tuple[str, float]]) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._watch, self._ends = watch, ends
        self._thread_s = self._process_s = self._python_s = 0.0

    def install(self) -> None:
        """Put the clock around every stage."""
        watch = self._watch
        for stage, kind, names in TIMED:
            for name in names:
                is_generator = name in GENERATORS or f"{kind.__name__}.{name}" in GENERATORS
                put = _around_generator if is_generator else _around
                setattr(kind, name, put(watch, stage, getattr(kind, name)))
        _name_networks(watch)
        blocks = Recording.blocks

        def followed(
            recording: Recording, stop: threading.Event, is_calm: Callable[[], bool]
        ) -> Iterator[Any]:
            self.begin()  # the start-up ends here
            for block in blocks(recording, stop, is_calm):
                yield block
                self.turn(recording.position / RATE_HZ)

        setattr(Recording, "blocks", followed)  # noqa: B010

    def begin(self) -> None:
        """Count from here on."""
        self._watch.spent_s.clear()
        self._thread_s, self._process_s = time.thread_time(), time.process_time()
        self._python_s = _other_python_threads_s()

    def turn(self, at_s: float) -> None:
        """Close the parts that end before a point in the recording."""
        while self._ends and at_s >= self._ends[0][1]:
            name, _ = self._ends.pop(0)
            thread_s = time.thread_time() - self._thread_s
            process_s = time.process_time() - self._process_s
            spent = dict(self._watch.spent_s)
            spent[REST] = thread_s - sum(spent.values())
            spent[THREADS] = _other_python_threads_s() - self._python_s
            # Two clocks of the kernel that differ by microseconds where there is nothing.
            spent[NATIVE] = max(0.0, process_s - thread_s - spent[THREADS])
            self.parts[name] = {stage: round(1000 * s, 3) for stage, s in spent.items()}
            self.begin()


def _other_python_threads_s() -> float:
    """CPU seconds of the threads that Python knows, but this one, by the kernel's count."""
    here, spent_ns = threading.get_native_id(), 0
    for thread in threading.enumerate():
        if thread.native_id != here:
            counts = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
            spent_ns += int(counts.split()[0])
    return spent_ns / 1e9


def _around(watch: Stopwatch, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        return watch.call(stage, lambda: work(*args, **options))

    return timed


def _around_generator(
    watch: Stopwatch, stage: str, work: Callable[..., Iterator[Any]]
) -> Callable[..., Iterator[Any]]:
    def timed(*args: Any) -> Iterator[Any]:
        items, end = work(*args), object()
        while (item := watch.call(stage, lambda: next(items, end))) is not end:
            yield item

    return timed


def _name_networks(watch: Stopwatch) -> None:
    """Time each network on an account with the name of its file."""
    make, run = Network.__init__, Network.__call__
    names: dict[int, str] = {}

    def made(network: Network, path: Path, *args: Any, **options: Any) -> None:
        names[id(network)] = NETWORKS.get(path.stem, path.stem)
        make(network, path, *args, **options)

    def timed(network: Network, values: Any) -> Any:
        return watch.call(names[id(network)], lambda: run(network, values))

    setattr(Network, "__init__", made)  # noqa: B010
    setattr(Network, "__call__", timed)  # noqa: B010


if __name__ == "__main__":
    sys.exit(main())
