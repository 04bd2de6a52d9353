import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("atheris", reason="Atheris has wheels for x86-64 Linux alone")
FOLDER = Path(__file__).parent
FUZZ = "import runpy; runpy.run_module('tests.fuzz.messages', run_name='__main__', alter_sys=True)"
UNBOUNDED = """
from affectd.daemon.publish import commands
class Loose(commands.Quiet, frozen=True):
    for_s: float
commands.COMMANDS["quiet"] = Loose
"""


def fuzz(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["-runs=50000", "-seed=1", "-max_len=9000", f"-dict={FOLDER / 'messages.dict'}"]
    options += [f"-artifact_prefix={folder}/"]
    command = [sys.executable, "-c", code, str(folder), str(FOLDER / "seeds"), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_message_that_the_fuzzer_finds_breaks_a_promise(tmp_path: Path) -> None:
    done = fuzz(FUZZ, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 50000 runs" in done.stderr


def test_the_fuzzer_would_find_a_span_without_bounds(tmp_path: Path) -> None:
    done = fuzz(UNBOUNDED + FUZZ, tmp_path)
    assert done.returncode != 0
    assert "a span is not bounded" in done.stdout + done.stderr
