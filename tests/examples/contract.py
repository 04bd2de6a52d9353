"""The topics that examples may name, with + for the node, and what their payloads hold."""

import json
import re
from typing import Any, Final

from tests.conftest import ROOT

EXAMPLES: Final = ROOT / "config" / "examples"
PUBLISHED: Final = {
    f"affectd/+/{name}"
    for name in (
        "status",
        "utterance",
        "mood",
        "speech",
        "health",
        "history",
        "listening",
        "command/result",
        "diagnostics",
    )
}
OBEYED: Final = {"affectd/+/listening/set"} | {
    f"affectd/+/command/{name}"
    for name in ("threshold", "classes", "voice-reset", "diagnostics", "quiet")
}


def topics_in(text: str, root: str) -> set[str]:
    """Every topic below a root that a text names; placeholders of a node or a room become +."""
    plain = re.sub(r"\$\{\w+\}|<\w+>", "+", text)
    return set(re.findall(rf"{root}/[\w+-]+(?:/[\w+-]+)+", plain))


def fields_of(name: str) -> dict[str, Any]:
    """The fields of a payload, by its JSON Schema."""
    path = ROOT / "config" / "schema" / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    fields: dict[str, Any] = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
    return fields
