"""`affectd config check|show`: is the configuration fine, and what is it in full?"""

import argparse
import os
from pathlib import Path

import msgspec
import yaml

from affectd.daemon import configuration
from affectd.daemon.nodes import prepare


def run(args: argparse.Namespace) -> int:
    """Load the configuration and check or show it. Raises SettingsError or BundleError."""
    path: Path | None = args.config or configuration.find(os.environ)
    settings = configuration.load(path, os.environ)
    if args.action == "check":
        prepare(settings)
        print(f"{path or 'the default configuration'} is fine")
    elif args.json:
        print(msgspec.json.encode(settings).decode())
    else:
        print(f"# {path or 'no file: defaults'} and the environment")
        print(
            yaml.safe_dump(msgspec.to_builtins(settings), sort_keys=False, allow_unicode=True),
            end="",
        )
    return 0
