"""The systemd unit: installed, enabled, running, and how much it may do."""

import getpass
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong

UNIT: Final = "affectd.service"
BOOTED: Final = Path("/run/systemd/system")  # is there where systemd runs: sd_booted(3)
LINGER: Final = Path("/var/lib/systemd/linger")
PROPERTIES: Final = (
    "LoadState",
    "UnitFileState",
    "ActiveState",
    "SubState",
    "ActiveEnterTimestamp",
    "NRestarts",
    "FragmentPath",
    "StatusText",
    "Result",
)
MOST_RESTARTS: Final = 3
# Of 10, which is a program without any sandbox; a person's systemd can take away less.
MOST_EXPOSED: Final = {"--system": 2.0, "--user": 5.0}
ANSWER_S: Final = 10.0


def check(case: Case) -> Iterator[Finding]:  # noqa: ARG001
    """Ask systemd for the system's unit, else for this user's."""
    if not BOOTED.is_dir():
        yield wrong("unit", Problem.UNIT_NO_SYSTEMD, "systemd does not run here")
        return
    for scope in ("--system", "--user"):
        shown = properties(scope)
        if shown.get("LoadState", "not-found") != "not-found":
            yield from judge(scope, shown)
            if scope == "--user" and not (LINGER / getpass.getuser()).exists():
                yield wrong("unit", Problem.UNIT_NO_LINGER, "it ends when this user logs out")
            if (exposed := exposure(scope, shown.get("FragmentPath", ""))) is not None:
                yield from judge_exposure(exposed, MOST_EXPOSED[scope])
            return
    yield wrong("unit", Problem.UNIT_NOT_INSTALLED, f"there is no {UNIT}")


def judge(scope: str, shown: Mapping[str, str]) -> Iterator[Finding]:
    """shown: the unit's PROPERTIES, as `systemctl show` prints them."""
    active, since = shown.get("ActiveState", ""), shown.get("ActiveEnterTimestamp", "")
    restarts = int(shown.get("NRestarts") or 0)
    facts = {
        "scope": scope.removeprefix("--"),
        "enabled": shown.get("UnitFileState", ""),
        "active": active,
        "since": since,
        "restarts": restarts,
        "file": shown.get("FragmentPath", ""),
    }
    problems = []
    if active == "failed":
        why = f"it has failed ({shown.get('Result', '')})"
        problems.append(wrong("unit", Problem.UNIT_FAILED, why, **facts))
    elif active not in ("active", "reloading"):
        problems.append(wrong("unit", Problem.UNIT_INACTIVE, f"it is {active}", **facts))
    if not shown.get("UnitFileState", "").startswith("enabled"):
        told = f"it is {shown.get('UnitFileState') or 'not enabled'}"
        problems.append(wrong("unit", Problem.UNIT_DISABLED, told, **facts))
    if restarts > MOST_RESTARTS:
        told = f"it was started again {restarts} times since it was started by hand or at boot"
        problems.append(wrong("unit", Problem.UNIT_RESTARTS, told, **facts))
    yield from problems
    if not problems:
        status = f": {shown['StatusText']}" if shown.get("StatusText") else ""
        told = f"{facts['file']} is enabled and active since {since}{status}; "
        yield well("unit", f"{told}{restarts} restart(s)", **facts)


def properties(scope: str) -> dict[str, str]:
    """What systemd knows of the unit; nothing if it does not answer."""
    text = _said("systemctl", scope, "show", UNIT, f"--property={','.join(PROPERTIES)}")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def exposure(scope: str, path: str) -> float | None:
    """How exposed the unit leaves the service, from 0 to 10; None if that cannot be told.

    path: of its file, for where systemd cannot be asked.
    """
    analyse = ("systemd-analyze", scope, "security", "--no-pager")
    text = _said(*analyse, UNIT) or _said(*analyse, "--offline=true", path)
    found = re.search(r"exposure level for \S+: ([\d.]+)", text)
    return float(found[1]) if found else None


def judge_exposure(exposed: float, most: float) -> Iterator[Finding]:
    """exposed: from 0 to 10; most: that is well."""
    facts = {"exposure": exposed, "limit": most}
    told = f"its sandbox leaves it exposed by {exposed:g} of 10"
    if exposed > most:
        message = f"{told}, more than {most:g}"
        yield wrong("unit", Problem.UNIT_EXPOSED, message, **facts)
    else:
        yield well("unit", told, **facts)


def _said(*command: str) -> str:
    """What a program prints; nothing if it is missing or does not end."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
