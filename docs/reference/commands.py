"""Every command with its options, as its own `--help` tells them."""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from affectd.daemon import arguments
from affectd.export import cli as export
from affectd.train import cli as train

WIDTH: Final = 76  # of a line of help


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Each command's parser, the whole before its parts."""
    stages = {"train": train.parser(), "export": export.parser()}
    yield from _tree(arguments.parser(), stages)


def _tree(
    parser: argparse.ArgumentParser, stages: dict[str, argparse.ArgumentParser]
) -> Iterator[argparse.ArgumentParser]:
    yield parser
    # argparse has no public way from a parser to the parsers of its commands.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from _tree(stages.get(name) or command, {})


def reference() -> str:
    """All commands as Markdown, a heading for each."""
    return "\n".join(_entry(parser) for parser in parsers())


def _entry(parser: argparse.ArgumentParser) -> str:
    kind: Any = parser.formatter_class
    parser.formatter_class = partial(kind, width=WIDTH)
    words = parser.prog.split()
    level = "##" if len(words) <= 2 else "###"
    return f"{level} {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```\n"
