"""Sound cards and sound servers, and whether this user may use them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong

DEVICES: Final = Path("/dev/snd")


def check(case: Case) -> Iterator[Finding]:
    """See whether there is anything to hear with."""
    inputs = sorted(path.name for path in DEVICES.glob("pcm*c"))
    shut = [name for name in inputs if not os.access(DEVICES / name, os.R_OK | os.W_OK)]
    yield judge(inputs, shut, sound_server(case.environment))


def judge(inputs: list[str], shut: list[str], server: str | None) -> Finding:
    """inputs: of sound cards; shut: those this user may not open; server: which answers."""
    facts = {"inputs": inputs, "not_permitted": shut, "server": server}
    if not inputs and server is None:
        message = f"there is neither an input in {DEVICES} nor a sound server"
        return wrong("sound", Problem.SOUND_ABSENT, message, **facts)
    if shut and server is None:
        message = f"this user may not open {', '.join(shut)} in {DEVICES}"
        return wrong("sound", Problem.SOUND_NOT_PERMITTED, message, **facts)
    cards = f"{len(inputs)} input(s) of sound cards"
    return well("sound", f"{cards}, {server or 'no sound server'}", **facts)


def sound_server(environment: Mapping[str, str]) -> str | None:
    """The sound server whose socket is there for this user."""
    folder = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent"))
    named = environment.get("PULSE_SERVER", "").removeprefix("unix:")
    if (folder / "pipewire-0").exists():
        return "PipeWire"
    if (folder / "pulse" / "native").exists() or (named and Path(named).exists()):
        return "PulseAudio"
    return None
