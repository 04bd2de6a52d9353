"""The blueprints as files; that they work is shown by test_blueprints.py (`make homeassistant`)."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

BLUEPRINTS = sorted((ROOT / "config" / "examples" / "home-assistant").glob("*.yaml"))


class Reader(yaml.SafeLoader):
    """YAML as Home Assistant reads it: !input names what a person fills in."""


Reader.add_constructor("!input", lambda reader, node: f"!input {node.value}")


def content(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.load(path.read_text(), Loader=Reader)  # a SafeLoader
    return read


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_every_input_is_declared_and_used(path: Path) -> None:
    declared = content(path)["blueprint"]["input"]
    assert set(re.findall(r"!input (\w+)", path.read_text())) == set(declared)
    assert all(one["name"] and one["selector"] for one in declared.values())


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_says_which_home_assistant_it_needs(path: Path) -> None:
    blueprint = content(path)["blueprint"]
    assert blueprint["domain"] == "automation"
    assert blueprint["homeassistant"]["min_version"] == "2024.10.0"
    assert {"triggers", "actions", "mode"} <= set(content(path))


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_is_in_the_documentation(path: Path) -> None:
    assert (
        f"config/examples/home-assistant/{path.name}"
        in (ROOT / "docs" / "home-assistant.md").read_text()
    )


def test_there_are_three() -> None:
    assert len(BLUEPRINTS) == 3
