"""`affectd run`: run the nodes of the configuration until they are stopped."""

import argparse
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from affectd.daemon import configuration
from affectd.daemon.capture.recording import Recording
from affectd.daemon.capture.source import Source
from affectd.daemon.errors import SettingsError
from affectd.daemon.listening import Listening
from affectd.daemon.publish.broker import EmbeddedBroker
from affectd.daemon.runner import Orders, Runner
from affectd.daemon.settings import Settings
from affectd.daemon.signals import has_terminal, on_signals
from affectd.daemon.supervisor import Supervisor
from affectd.daemon.wipe import overwrite_what_is_freed

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Listen to the microphones, or play a recording, and publish."""
    if args.fast and args.input is None:
        raise SettingsError("--fast is for recordings; name one with --input")
    orders, listening = Orders(), Listening()
    on_signals(_actions(orders, listening, is_recording=args.input is not None))
    hear = listening.open if args.input is None else _player(args.input, args.fast)
    with ExitStack() as stack:
        load = _loader(args.config, args.broker == "embedded", stack)
        runner = Runner(load, hear, listening, orders, Supervisor(os.environ, []))
        overwrite_what_is_freed()
        runner.run()
    return 0


def _actions(
    orders: Orders, listening: Listening, is_recording: bool
) -> dict[signal.Signals, Callable[[], None]]:
    """What each signal does."""
    is_bound = has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN  # as by nohup

    def hang_up() -> None:
        if is_bound and not has_terminal():
            orders.stop()  # nobody may be heard by a program whose window was closed
        elif is_recording:
            logger.warning("SIGHUP is ignored while a recording is played")
        else:
            orders.reload()

    actions = {signal.SIGTERM: orders.stop, signal.SIGINT: orders.stop, signal.SIGHUP: hang_up}
    if not is_recording:
        actions[signal.SIGUSR1] = partial(listening.listen, False)
        actions[signal.SIGUSR2] = partial(listening.listen, True)
    return actions


def _loader(path: Path | None, is_embedded: bool, stack: ExitStack) -> Callable[[], Settings]:
    """What reads the configuration, now and when it is reloaded.

    A broker in this process is started, and stays as it is.
    """

    def read() -> Settings:
        return configuration.load(path or configuration.find(os.environ), os.environ)

    if not is_embedded:
        return read
    broker = stack.enter_context(EmbeddedBroker(read().mqtt.port))
    return lambda: msgspec.structs.replace(read(), mqtt=broker.settings)


def _player(recording: Path, fast: bool) -> Callable[[Sequence[Settings]], Mapping[str, Source]]:
    """What lets the first node hear a recording."""

    def hear(nodes: Sequence[Settings]) -> Mapping[str, Source]:
        first = nodes[0]
        return {first.node: Recording(recording, channel=first.audio.channel, fast=fast)}

    return hear
