"""What an installation or a removal does: steps, planned first, then shown or carried out."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectd.daemon.errors import InstallError


@dataclass(frozen=True)
class Step:
    """One step."""

    text: str  # in the imperative: "write /etc/affectd/affectd.yaml"
    do: Callable[[], object] | None = None  # None: it leaves something as it is


def show(steps: Sequence[Step]) -> None:
    """Print what would be done."""
    for step in steps:
        print(f"would {step.text}")


def carry_out(steps: Sequence[Step]) -> bool:
    """Do and print each; return whether there was anything to do. Raises InstallError."""
    for step in steps:
        print(step.text, flush=True)
        if step.do is not None:
            try:
                step.do()
            except OSError as error:
                raise InstallError(f"could not {step.text}: {error}") from error
    return any(step.do is not None for step in steps)


def write(path: Path, text: str) -> None:
    """Put a file where there is none, or in the place of one, in one instant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def call(*command: str) -> None:
    """Run a program. Raises InstallError, with what it says, if that fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InstallError(f"there is no {command[0]}; install the package it is in") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise InstallError(f"`{' '.join(command)}` failed: {said}")
