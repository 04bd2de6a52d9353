"""`affectd uninstall`: take back what `affectd install` did, and all else with `--purge`."""

import argparse
import os
import sys
from collections.abc import Sequence

from affectd.daemon.commands.install import place_of
from affectd.daemon.errors import SettingsError
from affectd.daemon.install import removal
from affectd.daemon.install.step import Step, carry_out, show
from affectd.daemon.install.systemctl import Systemctl


def run(args: argparse.Namespace) -> int:
    """Plan, and show or carry out. Raises InstallError, or SettingsError if --yes is wanted."""
    place = place_of(args)
    steps = removal.plan(place, Systemctl(place.is_user, os.environ), args.purge)
    if args.dry_run:
        show(steps)
    elif args.purge and steps and not args.yes and not _agreed(steps):
        print("nothing was removed")
    elif not carry_out(steps):
        print("nothing was to do: the service is not installed")
    return 0


def _agreed(steps: Sequence[Step]) -> bool:
    """Show a person what a purge does, and ask. Raises SettingsError where there is nobody."""
    if not sys.stdin.isatty():
        raise SettingsError(
            "a purge removes what cannot be had again; see what with --dry-run, and say --yes"
        )
    show(steps)
    try:
        return input("Do all of this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
