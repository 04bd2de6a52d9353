"""What is sent and taken over MQTT: the fields of each payload, and one that was really sent."""

from pathlib import Path
from typing import Final

from docs.reference.schema import Node, load

EXAMPLES: Final = Path(__file__).parents[1] / "examples"


def reference(name: str) -> str:
    """A payload as Markdown, by the name of its schema."""
    schema = load(name)
    rows = [
        f"| `{field}` | {_cell(schema.words(node))} | {_cell(_meaning(schema.resolved(node)))} |"
        for field, node in schema.top["properties"].items()
    ]
    example = (EXAMPLES / f"{name}.json").read_text().rstrip()
    source = f"[{name}.schema.json](../config/schema/{name}.schema.json)"
    return "\n".join(
        [
            "| field | value | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"Schema: {source}. For instance:",
            "",
            "```json",
            example,
            "```",
        ]
    )


def _meaning(node: Node) -> str:
    text: str = node.get("description", "")
    if "default" in node and node["default"] is None:
        text += "; may be left out"
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
