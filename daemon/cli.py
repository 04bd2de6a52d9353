"""The `affectd` command. Heavy modules are imported by the command that needs them alone."""

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from affectd.daemon import own_log
from affectd.daemon.arguments import STAGES, parser
from affectd.daemon.errors import AffectdError, SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    own_log.begin()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not closed by the caller
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _stage(words) if words[:1] and words[0] in STAGES else _daemon(words)
        if sys.stdout is not None:  # it is closed where the caller closed it
            sys.stdout.flush()
    except AffectdError as error:
        own_log.complain(str(error))
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
    own_log.complain(f"the output cannot be written: {error}")
    return AffectdError.exit_status


def _daemon(words: list[str]) -> int:
    args = parser().parse_args(words)
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
