"""The affectd that runs this command: where it is, and whether the service could start it."""

import stat
import sys
import sysconfig
from pathlib import Path
from typing import Final

import affectd
from affectd.daemon.errors import InstallError

# Where the unit's sandbox lets programs lie: its ExecPaths. Homes, for instance, it hides.
ALLOWED: Final = (Path("/usr"), Path("/opt"))

# By a folder in the program's path: how the same tool installs affectd for all.
ELSEWHERE: Final = {
    "pipx": "sudo env PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install WHEEL",
    "uv": "sudo env UV_TOOL_DIR=/opt/uv UV_TOOL_BIN_DIR=/usr/local/bin "
    '"$(command -v uv)" tool install --python /usr/bin/python3 WHEEL',
    "": "sudo python3 -m venv /opt/affectd && sudo /opt/affectd/bin/pip install WHEEL",
}


def program() -> Path:
    """The `affectd` of this Python environment. Raises InstallError if there is none."""
    path = Path(sysconfig.get_path("scripts"), "affectd")
    if not path.is_file():
        raise InstallError(
            f"there is no {path}, which the service would start; install affectd into a virtual "
            "environment, as docs/install.md shows, and run the `affectd` that is in it"
        )
    return path


def check_reachable(path: Path) -> None:
    """Raise InstallError if a service of the machine cannot run this affectd."""
    needed = (path, Path(affectd.__file__).parent, Path(sys.base_prefix))
    for part in needed:
        reason = _barrier(part.resolve())
        if reason:
            tool = next((name for name in ELSEWHERE if name in path.parts), "")
            raise InstallError(
                f"the service could not start {path}: {part} {reason}; install affectd for all "
                f"with `{ELSEWHERE[tool]}`, or the service for you alone with "
                "`affectd install --user`"
            )


def _barrier(path: Path) -> str:
    """Why another user's sandbox does not get to a file or folder; empty if it does."""
    if not any(path.is_relative_to(folder) for folder in ALLOWED):
        return "is not below /usr or /opt, and its sandbox hides all other programs"
    for folder in (path, *path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return f"cannot be used by others, as the mode of {folder} forbids that"
    return ""
