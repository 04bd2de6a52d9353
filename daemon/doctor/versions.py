"""What runs: affectd, Python, and which TensorFlow Lite."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from affectd import __version__
from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.emotion.classifier import RUNTIMES, runtime_interpreter
from affectd.daemon.errors import BundleError

PARTS: Final = ("numpy", "paho-mqtt", "sounddevice", "soxr", "webrtcvad-wheels")


def check(case: Case) -> Iterator[Finding]:  # noqa: ARG001
    """Find a runtime, and name the versions."""
    facts = {
        "affectd": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{part: _version(part) for part in PARTS},
    }
    try:
        interpreter = runtime_interpreter()
    except BundleError as error:
        yield wrong("versions", Problem.RUNTIME_MISSING, str(error), **facts)
        return
    module = interpreter.__module__.partition(".")[0]
    name = next(one for one in RUNTIMES if one == module).replace("_", "-")
    runtime = f"{name} {_version(name)}"
    yield well(
        "versions",
        f"affectd {__version__}, Python {facts['python']} on {facts['machine']}, {runtime}",
        runtime=runtime,
        **facts,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
