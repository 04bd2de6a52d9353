"""What a process has used, by the kernel's count in /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has used up to a moment."""

    at_s: float  # of time.monotonic()
    cpu_s: float  # user and system time of all its threads, in steps of a tick (10 ms)
    resident_mb: float
    peak_mb: float  # the most that was resident since it began


def use(pid: int) -> Use:
    """What a process has used until now. Raises OSError if it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    at_s, ticks = time.monotonic(), int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text()
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    resident, peak = (int(sizes[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Use(at_s, ticks / TICKS_PER_S, resident, peak)


def cpu_share(before: Use, after: Use) -> float:
    """CPU seconds a second between two moments: the share of one core."""
    return (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)
