"""What `affectd report` takes: seconds and peak memory of each form, of a month of readings.

`python -m benchmarks.report [READINGS]`; the journal is filled first, which takes minutes.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from affectd.daemon.publish.history import History
from tests.report import household

FORMS = ("html", "png", "csv", "json")


def measured(journal: Path, form: str, to: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak MB of one run."""
    words = ["report", "--journal", str(journal), "--month", "2026-11", "--to", str(to)]
    words += [] if form == "html" else [f"--{form}"]
    began_s = time.monotonic()
    command = [sys.executable, "-m", "affectd.daemon", *words]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0
    seconds = time.monotonic() - began_s
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Fill a journal, measure, and print."""
    readings = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    os.environ["TZ"] = "Europe/Berlin"
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite"
        household.fill(journal, readings=readings)
        with History(journal) as history:
            count = sum(1 for _ in history.readings())
        print(f"{count} readings in {journal.stat().st_size / 1e6:.0f} MB")
        for form in FORMS:
            to = Path(folder) / f"report.{form}"
            seconds, cpu_s, peak_mb = measured(journal, form, to)
            size_mb = to.stat().st_size / 1e6
            print(
                f"{form}: {seconds:.1f} s, {cpu_s:.1f} s of CPU, peak {peak_mb:.0f} MB, "
                f"a file of {size_mb:.1f} MB"
            )


if __name__ == "__main__":
    main()
