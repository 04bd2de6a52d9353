"""Every entity on its own, held against the schemas of the newest Home Assistant for Python 3.11."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.daemon.publish import home_assistant
from tests.conftest import ROOT

VERSION = "2024.3.3"
# What its MQTT needs beside what it declares itself.
PACKAGES = [
    f"homeassistant=={VERSION}",
    "aiohttp-fast-url-dispatcher==0.3.0",
    "aiohttp-zlib-ng==0.3.1",
    "aiohttp_cors==0.7.0",
    "janus==1.0.0",
    "paho-mqtt==1.6.1",
]
# What came later: newer ones give the entities their ids by it, and show what a mood may be.
LATER = {"default_entity_id", "options"}

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="it is for Python 3.11 alone"
)


@pytest.fixture
def interpreter() -> Path:
    """A Python that has this Home Assistant; kept in build/."""
    folder = ROOT / "build" / "home-assistant" / f"venv-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "is-complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, *PACKAGES], check=True)  # pip takes minutes over it
        (folder / "is-complete").touch()
    return python


def test_an_older_home_assistant_takes_every_entity(interpreter: Path, tmp_path: Path) -> None:
    payloads = home_assistant.entity_payloads("kitchen", "affectd", "1.0", "homeassistant")
    (tmp_path / "payloads.json").write_text(json.dumps(payloads))
    validate = Path(__file__).with_name("validate.py")
    done = subprocess.run(
        [interpreter, "-P", "-E", validate, tmp_path / "payloads.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line.rpartition("it does not know ") for line in done.stdout.splitlines()]
    assert {name for _, _, name in told} == LATER
    assert all(middle for _, middle, _ in told), done.stdout
