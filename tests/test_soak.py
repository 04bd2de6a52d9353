import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.timeout(400)
def test_after_every_kind_of_failure_it_hears_within_5_s_and_leaves_nothing_behind() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--failures", "8", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["listening"] == "listening"
    assert len(figures["slowest_recovery_s"]) == 4
    assert max(figures["slowest_recovery_s"].values()) < 5
    assert figures["gaps"] >= 8
    assert figures["lost_s"] > 0
    assert figures["threads_grown"] <= 0
    assert figures["descriptors_grown"] <= 0
    assert figures["resident_kb_grown"] < 2000
