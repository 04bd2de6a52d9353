import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HEAVY = {"librosa", "scipy", "sklearn", "tensorflow", "joblib", "keras", "imblearn", "matplotlib"}
DAEMON = sorted((ROOT / "daemon").rglob("*.py"))
# What `affectd report` imports when it draws, and nothing else does.
DRAWS = {ROOT / "daemon" / "report" / name for name in ("page.py", "picture.py", "plots.py")}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after some code."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_every_module_of_the_daemon_loads_nothing_heavy() -> None:
    modules = [
        "affectd." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in DAEMON
        if path.name != "__main__.py" and path not in DRAWS
    ]
    assert len(modules) > 20
    assert not loaded_by("\n".join(f"import {name}" for name in modules)) & HEAVY


def test_a_running_service_loads_nothing_heavy() -> None:
    code = (
        "from affectd.daemon.cli import main\n"
        "from affectd.daemon.emotion.bundle import DEFAULT\n"
        "main(['analyze', '--json', str(DEFAULT / 'demo' / 'recording.ogg')])"
    )
    assert not loaded_by(
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n "
        + code.replace("\n", "\n ")
    ) & {"rich", *HEAVY}


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["train", "--help"], ["watch", "--help"]]
)
def test_help_loads_neither_networks_nor_numbers(words: list[str]) -> None:
    code = f"from affectd.daemon.cli import main\ntry:\n main({words})\nexcept SystemExit: pass"
    code = (
        f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n exec({code!r})"
    )
    assert not loaded_by(code) & {"numpy", "ai_edge_litert", "paho", "rich", *HEAVY}


@pytest.mark.parametrize("path", DAEMON, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_daemon_imports_nothing_of_the_desktop_stage(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert not {name for name in imported if name.startswith(("affectd.train", "affectd.export"))}
