"""Every key of the configuration: from its schema, and from the comments of affectd.yaml."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from docs.reference.schema import ROOT, Node, load

# <node> is a word there, no tag; what stands in backticks is left as it is.
TAG: Final = re.compile(r"(`[^`]*`)|<")
KEY: Final = re.compile(r"( *)([a-z_]+):")
SCHEMA: Final = load("affectd")


@dataclass(frozen=True, slots=True)
class Key:
    """One key, or a section of them."""

    path: str  # mqtt.host
    node: Node  # of the schema
    comment: tuple[str, ...]  # lines of affectd.yaml

    @property
    def is_section(self) -> bool:
        """Whether it holds keys instead of a value."""
        return "properties" in self.node


def keys() -> Iterator[Key]:
    """Every section and key, in the order of the schema."""
    comments = _comments((ROOT / "config" / "affectd.yaml").read_text())
    yield from _below(SCHEMA.top, "", comments)


def _below(section: Node, prefix: str, comments: dict[str, tuple[str, ...]]) -> Iterator[Key]:
    for name, node in section["properties"].items():
        whole = SCHEMA.resolved(node)
        path = prefix + name
        yield Key(path, whole, comments.get(path, ()))
        if "properties" in whole:
            yield from _below(whole, f"{path}.", comments)


def _comments(text: str) -> dict[str, tuple[str, ...]]:
    """The comment above each key, by the key's path."""
    found: dict[str, tuple[str, ...]] = {}
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            lines.append(line.lstrip().removeprefix("#").removeprefix(" "))
            continue
        if key := KEY.match(line):
            section = section if key[1] else key[2]
            found[f"{section}.{key[2]}" if key[1] else section] = tuple(lines)
        lines = []
    return found


def reference() -> str:
    """The reference as Markdown: a heading for each section, and one for each key."""
    return "\n".join(_entry(key) for key in keys())


def _entry(key: Key) -> str:
    if key.is_section:
        return f"## {key.path} {{ #{key.path} }}\n\n{key.node['description']}\n"
    level = "###" if "." in key.path else "##"
    default = json.dumps(key.node["default"], ensure_ascii=False)
    facts = [SCHEMA.words(key.node), f"default: `{default}`"]
    if key.node.get("type") != "array":  # a variable cannot hold one
        facts.append(f"variable: `AFFECTD_{key.path.upper().replace('.', '__')}`")
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"{level} {key.path} {{ #{key.path} }}\n\n{_paragraphs(key.comment)}\n\n{listed}\n"


def _paragraphs(comment: tuple[str, ...]) -> str:
    """A comment as Markdown: its indented lines are an example."""
    example = [line for line in comment if line.startswith("  ")]
    text = " ".join(line for line in comment if not line.startswith("  "))
    text = TAG.sub(lambda found: found[1] or "&lt;", text)
    if not example:
        return text
    return text + ":\n\n```yaml\n" + "\n".join(line[2:] for line in example) + "\n```"
