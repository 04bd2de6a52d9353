"""What the `affectd` command understands: its commands, their options and their help."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from affectd import __version__
from affectd.daemon.doctor import CHECKS

EPILOG = """\
exit status: 0 well, 1 failed (microphone, recording, networks, log, broker), 2 wrong usage or
configuration; SIGTERM and Ctrl-C end `run` and `watch` with 0.
"""
# Commands of the desktop stage, which the daemon itself never imports.
STAGES: Final = {
    "train": "measure and fit networks on labelled recordings (extra `train`)",
    "export": "turn fitted networks into a bundle for the service (extra `train`)",
}


def parser() -> argparse.ArgumentParser:
    """What `affectd` understands, apart from `train` and `export`."""
    parser = argparse.ArgumentParser(
        prog="affectd",
        description="Hears how people feel: speech emotion from a microphone to MQTT.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"affectd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_demo(commands)
    _add_analyze(commands)
    _add_json(_command(commands, "devices", "list the microphones; exit status 1 if none"))
    _add_doctor(commands)
    _add_watch(commands)
    _add_report(commands)
    _add_voice(commands)
    _add_config(commands)
    _add_homeassistant(commands)
    _add_install(commands)
    _add_uninstall(commands)
    for name, description in STAGES.items():
        _command(commands, name, description)
    return parser


Commands = Any  # argparse keeps the type of its subparsers to itself


def _command(commands: Commands, name: str, description: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=description[0].upper() + description[1:] + "."
    )
    return command


def _add_config_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: ~/.config/affectd/affectd.yaml, else "
        "/etc/affectd/affectd.yaml, else every key's default)",
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_run(commands: Commands) -> None:
    command = _command(
        commands, "run", "listen, and publish what is heard, until SIGTERM or Ctrl-C"
    )
    command.epilog = (
        "SIGHUP reads the configuration again; SIGUSR1 pauses and SIGUSR2 resumes listening."
    )
    _add_config_option(command)
    command.add_argument(
        "--input",
        type=Path,
        metavar="RECORDING",
        help="play a WAV, FLAC or OGG file instead of listening, and end with it",
    )
    command.add_argument(
        "--fast",
        action="store_true",
        help="with --input: as fast as the machine can, not at the pace of a microphone",
    )
    command.add_argument(
        "--broker",
        choices=["embedded"],
        help="start a small MQTT broker on 127.0.0.1:<mqtt.port> and publish there",
    )


def _add_demo(commands: Commands) -> None:
    command = _command(
        commands,
        "demo",
        "play a bundled recording of several emotions and show what an MQTT subscriber receives",
    )
    command.add_argument("--fast", action="store_true", help="do not keep a microphone's pace")
    _add_json(command)


def _add_analyze(commands: Commands) -> None:
    command = _command(commands, "analyze", "read recordings, a line for each utterance")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC or OGG")
    _add_config_option(command)
    _add_json(command)


def _add_doctor(commands: Commands) -> None:
    command = _command(
        commands,
        "doctor",
        "check microphone, networks, broker, journal and the rest, with a remedy for what is wrong",
    )
    command.epilog = (
        "The microphones are heard for some seconds, in memory; one that is paused is not opened. "
        "exit status: 0 nothing failed, 1 something did, 2 wrong usage or configuration"
    )
    _add_config_option(command)
    command.add_argument(
        "--listen",
        type=_seconds,
        default=4.0,
        metavar="SECONDS",
        help="how long the microphones are heard, 0.5 to 60 (default: 4)",
    )
    command.add_argument(
        "--only",
        nargs="+",
        choices=list(CHECKS),
        default=[],
        metavar="NAME",
        help=f"make these checks alone: {', '.join(CHECKS)}",
    )
    _add_json(command)


def _seconds(text: str) -> float:
    """How long to listen, or ValueError, which argparse tells."""
    seconds = float(text)
    if not 0.5 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.5 to 60")
    return seconds


def _add_watch(commands: Commands) -> None:
    command = _command(
        commands,
        "watch",
        "show live what nodes hear and tell: level, speech, emotions, mood, health; q ends it",
    )
    command.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        help="watch all nodes on an MQTT broker (default: the affectd that runs on this machine, "
        "else the broker of the configuration)",
    )
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="watch the broker of this configuration; with --broker: what else that one needs, "
        "such as mqtt.tls, mqtt.username and mqtt.root",
    )
    command.add_argument("--node", metavar="NAME", help="show this node alone")
    _add_json(command)


def _add_report(commands: Commands) -> None:
    command = _command(
        commands, "report", "make a page with plots of a day, week or month of readings and moods"
    )
    _add_config_option(command)
    command.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help="the journal (default: that of the configuration, else this user's own, else "
        "/var/lib/affectd/journal.sqlite)",
    )
    period = command.add_mutually_exclusive_group()
    for name, what in (
        ("day", "a day: 2026-11-25, today or yesterday (default: today, also without --day)"),
        ("week", "the week, from Monday, that a day is in, or 2026-W48 (default: this week)"),
        ("month", "the month that a day is in, or 2026-11 (default: this month)"),
    ):
        period.add_argument(f"--{name}", nargs="?", const="today", metavar="DATE", help=what)
    command.add_argument("--node", metavar="NAME", help="of this node alone (default: of each)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--png", action="store_true", help="the plots as one picture")
    form.add_argument(
        "--csv",
        nargs="?",
        const="readings",
        choices=["readings", "moods", "listening"],
        help="a table of all readings, moods or states of listening (default: readings)",
    )
    form.add_argument(
        "--json", action="store_true", help="the figures, one JSON object a line for each node"
    )
    command.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="where to write; - is standard output (default: affectd-<date>.html, .png or .csv in "
        "this folder, and standard output for --json)",
    )
    command.add_argument("--open", action="store_true", help="show the page in a browser")


def _add_voice(commands: Commands) -> None:
    actions = {
        "show": "print how much has been heard, and where that is kept",
        "reset": "forget it; a running affectd starts anew as well",
    }
    what = "show or forget what this node has learnt of its speech"
    _add_json(_with_actions(commands, "voice", what, actions)["show"])


def _add_config(commands: Commands) -> None:
    actions = {
        "check": "say whether the configuration, its password and its bundle are fine",
        "show": "print the configuration with all defaults and overrides",
    }
    what = "check or show the configuration"
    _add_json(_with_actions(commands, "config", what, actions)["show"])


def _add_homeassistant(commands: Commands) -> None:
    actions = {
        "show": "print what is published for it, one JSON object a line",
        "remove": "let the broker, and so Home Assistant, forget the nodes",
    }
    what = "show or take back what Home Assistant is told"
    _with_actions(commands, "homeassistant", what, actions)


def _with_actions(
    commands: Commands, name: str, description: str, actions: Mapping[str, str]
) -> dict[str, argparse.ArgumentParser]:
    """A command whose actions, with their descriptions, each take a configuration."""
    command = _command(commands, name, description)
    added = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    parsers = {action: _command(added, action, told) for action, told in actions.items()}
    for parser in parsers.values():
        _add_config_option(parser)
    return parsers


def _add_install(commands: Commands) -> None:
    command = _command(
        commands,
        "install",
        "let systemd run this affectd, from the next start of the machine on and at once",
    )
    command.add_argument(
        "--no-start", action="store_true", help="do not start it now, if it does not run"
    )
    _add_service(command)


def _add_uninstall(commands: Commands) -> None:
    command = _command(
        commands,
        "uninstall",
        "stop and remove the service, and keep configuration, password, journal, voices and log",
    )
    command.add_argument("--purge", action="store_true", help="remove those, and the user, too")
    command.add_argument("--yes", action="store_true", help="with --purge: do not ask")
    _add_service(command)


def _add_service(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--user",
        action="store_true",
        help="the service of your own session, without root (default: that of the machine)",
    )
    command.add_argument("--dry-run", action="store_true", help="show the steps, and do none")
