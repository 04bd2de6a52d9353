"""Which code made a result."""

import subprocess
from pathlib import Path


def commit() -> str:
    """The commit of this checkout, with `+changes` if files differ; `unknown` outside one."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--exclude=*"]
    try:
        head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if status.strip() else head
