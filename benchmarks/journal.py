"""What the journal costs: time, bytes and room for a reading, in a journal that is full.

`python -m benchmarks.journal [ROWS]`; how often it waits for the disk:
`strace -f -c -e trace=fsync,fdatasync python -m benchmarks.journal 5000`
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from affectd.daemon.publish.history import History
from affectd.daemon.publish.journal import Journal
from tests.publish.samples import utterance

MEASURED = 1000


def written_bytes() -> int:
    """What this process has handed to the system to write."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["wchar"])


def main() -> None:
    """Fill a journal, measure, and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        journal = Journal(path, rows, 90)
        sample = utterance()
        add_ms: list[float] = []
        acknowledge_ms: list[float] = []
        for number in range(rows + 2 * rows // 100 + MEASURED):
            if number == rows + 2 * rows // 100:
                add_ms, acknowledge_ms, before = [], [], written_bytes()
            began = time.perf_counter()
            journal.add(msgspec.structs.replace(sample, id=f"{number * 2654435761 % 2**32:016x}"))
            added = time.perf_counter()
            journal.acknowledge([f"{number * 2654435761 % 2**32:016x}"])
            add_ms.append((added - began) * 1000)
            acknowledge_ms.append((time.perf_counter() - added) * 1000)
        written = written_bytes() - before
        journal.close()
        print(f"{rows} readings: {path.stat().st_size / 1e6:.1f} MB")
        print(f"written for {MEASURED} more: {written / 1e6:.1f} MB")
        for name, ms in (("add", add_ms), ("acknowledge", acknowledge_ms)):
            print(f"{name}: median {statistics.median(ms):.2f} ms, longest {max(ms):.1f} ms")
        began = time.perf_counter()
        Journal(path, rows, 90).close()
        print(f"open and close: {(time.perf_counter() - began) * 1000:.0f} ms")
        began = time.perf_counter()
        with History(path) as history:
            count = sum(1 for _ in history.readings())
        print(f"read {count} as messages: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
