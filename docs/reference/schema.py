"""A JSON Schema in words, for people."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SCHEMAS: Final = ROOT / "config" / "schema"
Node = dict[str, Any]

NUMBERS: Final = {"integer": "whole number", "number": "number"}
PLAIN: Final = {"boolean": "`true` or `false`", "null": "`null`"}


class Schema:
    """One of the files in config/schema/."""

    def __init__(self, name: str) -> None:
        whole = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        self._parts: dict[str, Node] = whole["$defs"]
        self.top: Node = self.resolved(whole)

    def resolved(self, node: Node) -> Node:
        """What a node refers to, or itself; a description beside the reference goes first."""
        if alone := node.get("allOf", node.get("anyOf", [])):
            node = node | alone[0] if len(alone) == 1 else node
        if "$ref" not in node:
            return node
        return self._parts[node["$ref"].rpartition("/")[2]] | node

    def words(self, node: Node) -> str:
        """What a value may be: its type and its bounds."""
        node = self.resolved(node)
        if "enum" in node:
            return _one_of(node["enum"])
        if "const" in node:
            return f"`{json.dumps(node['const'])}`"
        if "anyOf" in node:
            return " or ".join(self.words(one) for one in node["anyOf"])
        match node["type"]:
            case "array":
                return f"list{_count(node, 'Items')}, each {self.words(node['items'])}"
            case "object":
                return self._object(node)
            case "string":
                return _text(node)
            case name if name in NUMBERS:
                return NUMBERS[name] + _range(node)
            case name:
                return PLAIN[name]

    def _object(self, node: Node) -> str:
        values = node.get("additionalProperties")
        if isinstance(values, dict):
            return f"object{_count(node, 'Properties')}, each value a {self.words(values)}"
        fields = node["properties"]
        kinds = {self.words(field) for field in fields.values()}
        each = f", each a {kinds.pop()}" if len(kinds) == 1 else ""
        return f"object of {', '.join(f'`{name}`' for name in fields)}{each}"


@cache
def load(name: str) -> Schema:
    """A schema by its name in config/schema/."""
    return Schema(name)


def _one_of(values: list[object]) -> str:
    shown = [f"`{value}`" for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _range(node: Node) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    if "exclusiveMinimum" in node:
        return f" above {node['exclusiveMinimum']:g}" + (f", up to {most:,}" if most else "")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    if least is not None:
        return f", at least {least:,}"
    return "" if most is None else f", at most {most:,}"


def _count(node: Node, of: str) -> str:
    least, most = node.get(f"min{of}", 0), node.get(f"max{of}")
    if most is not None:
        return f" of {least} to {most}"
    return f" of at least {least}" if least else ""


def _text(node: Node) -> str:
    if node.get("format") == "date-time":
        return "time (ISO 8601, UTC)"
    most = f", at most {node['maxLength']} characters" if "maxLength" in node else ""
    if "pattern" in node:
        return f"text that matches `{node['pattern']}`{most}"
    return f"text{' that is not empty' if node.get('minLength') else ''}{most}"
