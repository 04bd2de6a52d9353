"""`affectd install`: let systemd run this affectd, for the machine or for one user."""

import argparse
import os

from affectd.daemon.errors import InstallError
from affectd.daemon.install import installation
from affectd.daemon.install.place import Place, of_machine, of_user
from affectd.daemon.install.program import check_reachable, program
from affectd.daemon.install.step import carry_out, show
from affectd.daemon.install.systemctl import JOURNAL, Systemctl


def run(args: argparse.Namespace) -> int:
    """Plan, and show or carry out. Raises InstallError."""
    place, path = place_of(args), program()
    if not place.is_user:
        check_reachable(path)
    systemctl = Systemctl(place.is_user, os.environ)
    steps = installation.plan(place, path, systemctl, start=not args.no_start)
    if args.dry_run:
        show(steps)
    elif not carry_out(steps):
        print("nothing was to do: the service is installed")
    else:
        print(_next(place))
    return 0


def place_of(args: argparse.Namespace) -> Place:
    """Whose service is meant. Raises InstallError if this user may not set that up."""
    if args.user:
        if os.geteuid() == 0 and "SUDO_USER" in os.environ:
            raise InstallError(
                f"under sudo, `affectd {args.command} --user` would be about root's service, not "
                f"that of {os.environ['SUDO_USER']}; run it without sudo"
            )
        return of_user(os.environ)
    if os.geteuid() != 0 and not args.dry_run:
        raise InstallError(
            f"`affectd {args.command}` is about the machine's service and needs root: run "
            f"`sudo {program()} {args.command}`, or `affectd {args.command} --user` for your own"
        )
    os.umask(0o022)  # the service's user reads what root writes here
    return of_machine()


def _next(place: Place) -> str:
    control = "systemctl --user" if place.is_user else "sudo systemctl"
    lines = [
        f"settings: {place.config}; then `{control} restart affectd`",
        f"what it says of itself: `{JOURNAL[place.is_user]} -f`",
    ]
    if place.is_user:
        lines.append("before you log in, and after you log out: `loginctl enable-linger`")
    return "\n".join(lines)
