"""The unit file: as shipped, with the affectd that is here in it, and a mark to know it by."""

import hashlib
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Final

from affectd.daemon.errors import InstallError
from affectd.daemon.install.place import UNIT, Place

FOLDER: Final = Path(__file__).parents[2] / "systemd"
SYSUSERS: Final = FOLDER / "affectd.sysusers"

# The prefixes of the Python that runs, which a user may have in the home.
_PYTHON: Final = (sys.prefix, sys.base_prefix)
_EXEC_PATHS: Final = re.compile(r"^ExecPaths=.*", re.MULTILINE)
_COMMAND: Final = re.compile(r"^(Exec\w+=[-@:+!]*)\S*/affectd(?=\s)", re.MULTILINE)
_MARK: Final = "# Written by `affectd install`, with SHA-256 "


class Standing(Enum):
    """How a unit file stands to the one that would be written."""

    ABSENT = "absent"
    SAME = "same"
    OLD = "old"  # as an affectd wrote it
    EDITED = "edited"


def render(place: Place, program: Path) -> str:
    """The unit that starts a program, below a line that marks it as ours."""
    shipped = FOLDER / "user" / UNIT if place.is_user else FOLDER / UNIT
    word = quoted(program)
    body = _COMMAND.sub(lambda found: found[1] + word, shipped.read_text(encoding="utf-8"))
    if place.is_user:
        runs = "".join(f" {quoted(Path(prefix).resolve())}" for prefix in _PYTHON)
        body = _EXEC_PATHS.sub(lambda found: found[0] + runs, body)
    return f"{_MARK}{_digest(body)}; change it with `{place.edit}`.\n{body}"


def standing(path: Path, wanted: str) -> Standing:
    """Compare the file with the text wanted."""
    try:
        there = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Standing.ABSENT
    if there == wanted:
        return Standing.SAME
    return Standing.OLD if is_ours(there) else Standing.EDITED


def is_ours(text: str) -> bool:
    """Whether nobody has changed the text since it was rendered."""
    first, _, body = text.partition("\n")
    return first.startswith(_MARK + _digest(body))


def quoted(program: Path) -> str:
    """A path as a word of a unit's line. Source: systemd.service(5), systemd.unit(5).

    Raises InstallError if systemd would start no program of that name.
    """
    word = str(program).replace("%", "%%")
    if re.search(r"[\"'\\]", word) or not word.isprintable():
        raise InstallError(
            f"systemd starts no program whose path has quotes or backslashes, as {program} has; "
            "install affectd in another folder"
        )
    return f'"{word}"' if re.search(r"[\s;]", word) else word


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
