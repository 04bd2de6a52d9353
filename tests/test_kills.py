import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import ROOT


def test_every_reading_arrives_and_none_twice_as_live_whatever_is_killed_when(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "12", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    record_property("figures", figures)
    with capsys.disabled():
        print(f"\n{figures}")
    assert set(figures["kills"]) == {"node", "broker"}
    assert figures["lost"] == figures["live_twice"] == 0
    assert figures["live"] > 0
    assert figures["on_history"] > 0
