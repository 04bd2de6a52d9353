"""`affectd watch`: what nodes hear and tell, live, on a terminal or for programs."""

import argparse
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from affectd.daemon import configuration
from affectd.daemon.errors import SettingsError
from affectd.daemon.publish.console import silence
from affectd.daemon.publish.feed import SOCKET
from affectd.daemon.publish.messages import Event
from affectd.daemon.settings import Mqtt, NodeName, password, runtime_folder
from affectd.daemon.watch.inbox import EndError, Inbox, Item, Link, Notice, Source
from affectd.daemon.watch.lines import lines
from affectd.daemon.watch.local import LocalSource, connect
from affectd.daemon.watch.remote import RemoteSource
from affectd.daemon.watch.scene import Scene

SYSTEM: Final = Path("/run/affectd")  # the run-time folder of the service under systemd
LOOK_S: Final = 1.0  # between two looks whether somebody reads what is printed

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Show until SIGTERM, Ctrl-C or q. Raises WatchError and SettingsError."""
    if sys.stdout is None:  # closed by the caller: nobody could see anything
        return 0
    logging.getLogger().setLevel(logging.WARNING)
    inbox = Inbox()
    source = _source(args, os.environ, inbox)
    source.start()
    try:
        _show(Scene(has_levels=isinstance(source, LocalSource)), inbox, args.json)
    finally:
        inbox.end()
        source.stop()
    return 0


def _show(scene: Scene, inbox: Inbox, as_json: bool) -> None:
    is_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if is_screen and not as_json:
        from affectd.daemon.watch.screen import show

        _on_end(lambda *_: inbox.end())  # between two pictures
        show(scene, inbox)
        return
    try:
        _on_end(_end_now)
        if as_json:
            _print_json(inbox)
        else:
            _print_lines(scene, inbox)
    except EndError:
        silence()  # or what its reader has not taken would be waited for


def _on_end(handler: Callable[[int, Any], object]) -> None:
    """Have SIGTERM and Ctrl-C handled."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _end_now(*_: object) -> None:
    """End even what is printing to somebody who does not read. Raises EndError, once."""
    _on_end(lambda *_: None)
    raise EndError


def _source(args: argparse.Namespace, environment: Mapping[str, str], inbox: Inbox) -> Source:
    """What the command line names, else this machine's affectd, else the configured broker."""
    node = None if args.node is None else _node(args.node)
    paths = _sockets(environment)
    is_named = args.broker is not None or args.config is not None
    # Another broker than the configured one is none of the configured password's business.
    path = args.config if is_named else configuration.find(environment)
    mqtt = configuration.load(path, environment).mqtt
    if args.broker is not None:
        mqtt = _at(mqtt, args.broker)
    if not is_named:
        connected = connect(paths)
        if connected is not None:
            connected[0].close()
        if connected is not None or mqtt == Mqtt():
            return LocalSource(paths, node, inbox)
    return RemoteSource(mqtt, password(mqtt, environment), node, inbox)


def _sockets(environment: Mapping[str, str]) -> list[Path]:
    """Where this user's affectd may be, started in a session or outside, and the system's."""
    outside = {key: value for key, value in environment.items() if key != "XDG_RUNTIME_DIR"}
    folders = [runtime_folder(environment), runtime_folder(outside), SYSTEM]
    return [folder / SOCKET for folder in dict.fromkeys(folders)]


def _node(name: str) -> str:
    try:
        return msgspec.convert(name, NodeName)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"--node {name} is no name of a node; it has letters, digits, - and _ alone"
        ) from error


def _at(mqtt: Mqtt, address: str) -> Mqtt:
    """The same at HOST, HOST:PORT or [ADDRESS]:PORT. Raises SettingsError."""
    found = re.fullmatch(
        r"\[(?P<v6>[^]]+)\](:(?P<port6>\d+))?|(?P<host>[^:]+)(:(?P<port>\d+))?", address
    )
    host, port = address, None  # an address of IPv6 without a port
    if found is not None:
        host = found["v6"] or found["host"]
        port = found["port6"] or found["port"]
    try:
        return msgspec.convert(
            {**msgspec.structs.asdict(mqtt), "host": host, "port": int(port or mqtt.port)}, Mqtt
        )
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"--broker {address} is no host and port ({error}); write broker.lan or broker.lan:1883"
        ) from error


def _print_json(inbox: Inbox) -> None:
    """Print each event as it came; what else is to say goes to standard error."""
    while True:
        match _next(inbox):
            case Event() as event:
                print(msgspec.json.encode(event).decode(), flush=True)
            case Link(is_up=False, text=text) | Notice(text=text):
                logger.warning("%s", text)


def _print_lines(scene: Scene, inbox: Inbox) -> None:
    """Print a line for each thing that is new."""
    while True:
        before, now_s = scene, time.time()
        scene = scene.after(_next(inbox), now_s)
        for line in lines(before, scene, now_s):
            print(line, flush=True)


def _next(inbox: Inbox) -> Item:
    """What comes next. Raises EndError, also if nobody reads what is printed any more."""
    broken = select.poll()
    broken.register(sys.stdout, 0)  # POLLERR is always told
    while (item := inbox.get(LOOK_S)) is None:
        if any(what & select.POLLERR for _, what in broken.poll(0)):
            raise EndError
    return item
