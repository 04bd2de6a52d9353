"""The JSON Schemas of configuration and payloads, made from the types that the code uses.

`python -m affectd.daemon.schemas FOLDER` writes them; the checked-in ones are in config/schema/.
"""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from affectd.daemon.doctor.finding import Finding
from affectd.daemon.publish.commands import COMMANDS
from affectd.daemon.publish.messages import (
    CommandResult,
    DiagnosticsMessage,
    HealthMessage,
    HistoryMessage,
    LevelMessage,
    MoodMessage,
    UtteranceMessage,
)
from affectd.daemon.settings import Settings

TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    "affectd": Settings,
    "command-result": CommandResult,
    "doctor": Finding,
    "diagnostics": DiagnosticsMessage,
    "health": HealthMessage,
    "history": HistoryMessage,
    "level": LevelMessage,
    "mood": MoodMessage,
    "utterance": UtteranceMessage,
    **{f"command-{name}": command for name, command in COMMANDS.items()},
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one of TYPES."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | msgspec.json.schema(TYPES[name])


def encoded(name: str) -> bytes:
    """A schema as it is written to its file."""
    return msgspec.json.format(msgspec.json.encode(schema(name)), indent=2) + b"\n"


if __name__ == "__main__":
    for name in TYPES:
        (Path(sys.argv[1]) / f"{name}.schema.json").write_bytes(encoded(name))
