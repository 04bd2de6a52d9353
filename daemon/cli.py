"""The `affectd` command. Heavy modules are imported by the command that needs them alone."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from affectd import __version__
from affectd.daemon.errors import AffectdError, SettingsError

EPILOG = """\
exit status: 0 well, 1 failed (microphone, recording, networks, log, broker), 2 wrong usage or
configuration; SIGTERM and Ctrl-C end `run` with 0.
"""


# Commands of the desktop stage, which the daemon itself never imports.
STAGES: Final = {
    "train": "measure and fit networks on labelled recordings (extra `train`)",
    "export": "turn fitted networks into a bundle for the service (extra `train`)",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    logging.basicConfig(format="affectd: %(message)s", level=logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not closed by the caller
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _stage(words) if words[:1] and words[0] in STAGES else _daemon(words)
        if sys.stdout is not None:  # it is closed where the caller closed it
            sys.stdout.flush()
    except AffectdError as error:
        print(f"affectd: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        return _output_failed(error)
    except KeyboardInterrupt:
        return 130
    return status


def _output_failed(error: OSError) -> int:
    """What is left when standard output cannot be written: 0 if its reader has seen enough."""
    from affectd.daemon.publish.console import silence

    silence()
    if isinstance(error, BrokenPipeError):
        return 0
    print(f"affectd: the output cannot be written: {error}", file=sys.stderr)
    return AffectdError.exit_status


def _daemon(words: list[str]) -> int:
    args = _parser().parse_args(words)
    # Its products are small; a second thread of numpy's would spin and cost more than it saves.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module = import_module(f"affectd.daemon.commands.{args.command}")
    status: int = module.run(args)
    return status


def _stage(words: list[str]) -> int:
    try:
        stage = import_module(f"affectd.{words[0]}.cli")
        status: int = stage.run(words[1:])
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"`affectd {words[0]}` needs {error.name}, which is not installed; "
            "install it with `pip install 'affectd[train]'`"
        ) from error
    return status


def _parser() -> argparse.ArgumentParser:
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


def _add_voice(commands: Commands) -> None:
    voice = _command(commands, "voice", "show or forget what this node has learnt of its speech")
    actions = voice.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = _command(actions, "show", "print how much has been heard, and where that is kept")
    reset = _command(actions, "reset", "forget it; a running affectd starts anew as well")
    for command in (show, reset):
        _add_config_option(command)
    _add_json(show)


def _add_config(commands: Commands) -> None:
    config = _command(commands, "config", "check or show the configuration")
    actions = config.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = _command(
        actions, "check", "say whether the configuration, its password and its bundle are fine"
    )
    show = _command(actions, "show", "print the configuration with all defaults and overrides")
    for command in (check, show):
        _add_config_option(command)
    _add_json(show)


def _add_homeassistant(commands: Commands) -> None:
    home = _command(commands, "homeassistant", "show or take back what Home Assistant is told")
    actions = home.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = _command(actions, "show", "print what is published for it, one JSON object a line")
    remove = _command(actions, "remove", "let the broker, and so Home Assistant, forget the nodes")
    for command in (show, remove):
        _add_config_option(command)


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
