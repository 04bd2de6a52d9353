"""Who has inputs of sound cards open, by the kernel.

ALSA lets one program at a time have a sound card's input, and PortAudio does not even list an input
that is taken.
"""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that has an input."""

    process: int
    program: str  # the beginning of its command
    label: str  # of the input, as PortAudio would list it


def holders(proc: Path) -> list[Holder]:
    """All but this process. proc: where the kernel tells of processes and sound cards."""
    found = []
    for status in sorted(proc.glob("asound/card*/pcm*c/sub*/status")):
        number = _fields(status).get("owner_pid", "")
        if number.isdecimal() and not (proc / "self" / "task" / number).exists():
            words = _text(proc / number / "cmdline").split("\0")
            program = " ".join(words[:3]).strip() or "a program"
            found.append(Holder(int(number), program, _label(proc, status.parents[1])))
    return found


def _label(proc: Path, pcm: Path) -> str:
    info = _fields(pcm / "info")
    card = info.get("card", "")
    cards = _text(proc / "asound" / "cards")
    name = re.search(rf"^ *{card} \[.*?\]: .*? - (.*)$", cards, re.MULTILINE)
    told = name[1] if name else ""
    return f"{told}: {info.get('name', '')} (hw:{card},{info.get('device', '')}), ALSA"


def _fields(path: Path) -> dict[str, str]:
    """The lines of a file that are `key: value`."""
    pairs = (line.split(":", 1) for line in _text(path).splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
