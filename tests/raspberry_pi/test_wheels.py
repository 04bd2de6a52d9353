"""Which packages a Raspberry Pi installs, and that none of them has to be compiled on 64 bits."""

import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIMES = {"ai-edge-litert", "tflite-runtime"}


def required(machine: str, python: str) -> set[str]:
    """What is required there."""
    there = {"platform_machine": machine, "python_version": python, "sys_platform": "linux"}
    all_of_them = map(Requirement, PROJECT["dependencies"])
    return {one.name for one in all_of_them if one.marker is None or one.marker.evaluate(there)}


@pytest.mark.parametrize(
    ("machine", "python", "runtimes"),
    [
        ("aarch64", "3.11", {"ai-edge-litert"}),
        ("aarch64", "3.13", {"ai-edge-litert"}),
        ("armv7l", "3.11", {"tflite-runtime"}),
        ("armv8l", "3.11", {"tflite-runtime"}),
        ("armv7l", "3.13", set()),
        ("armv6l", "3.11", set()),
    ],
)
def test_each_machine_gets_the_runtime_that_has_a_wheel_there(
    machine: str, python: str, runtimes: set[str]
) -> None:
    assert required(machine, python) & RUNTIMES == runtimes


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_a_64_bit_raspberry_pi_installs_wheels_alone(python: str) -> None:
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
    ]
    command += ["--only-binary", ":all:", "--python-version", python]
    # The C library of Debian 12; with only wheels allowed, what has none there is an error.
    command += ["--python-platform", "aarch64-manylinux_2_36", str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    resolved = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert required("aarch64", python) <= resolved
