"""`affectd homeassistant show|remove`: what Home Assistant is told, and taking that back."""

import argparse
import os

import msgspec

from affectd import __version__
from affectd.daemon import configuration
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish.home_assistant import Discovery, filters, removal
from affectd.daemon.publish.session import Session
from affectd.daemon.settings import Settings, password


def run(args: argparse.Namespace) -> int:
    """Show or remove what is announced of the configured nodes. Raises BrokerError."""
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    if args.action == "show":
        _show(settings)
    else:
        _remove(settings)
    return 0


def _show(settings: Settings) -> None:
    """Print each message that is published, a JSON object a line."""
    form, prefix = settings.home_assistant.discovery, settings.home_assistant.prefix
    if form == "off":
        return
    for node in settings.nodes():
        for message in Discovery(form, node.node, node.mqtt.root, __version__, prefix).messages():
            payload = msgspec.Raw(message.payload)
            line = {"topic": message.topic, "retain": message.retain, "payload": payload}
            print(msgspec.json.encode(line).decode())


def _remove(settings: Settings) -> None:
    """Empty what is retained of the nodes' announcements.

    A broker that has lost it is told for each topic, as Home Assistant may still know the entities.
    """
    nodes, prefix = [node.node for node in settings.nodes()], settings.home_assistant.prefix
    with Session(settings.mqtt, password(settings.mqtt, os.environ)) as session:
        found = session.retained([topic for node in nodes for topic in filters(node, prefix)])
        topics = list(found) or [topic for node in nodes for topic in removal(node, prefix)]
        refused = session.publish(topics, b"", retain=True)
    removed = [topic for topic in topics if topic not in refused]
    if not removed:
        raise BrokerError(
            f"the MQTT broker {settings.mqtt.host}:{settings.mqtt.port} lets nobody write "
            f"{topics[0]} as {settings.mqtt.username or 'a guest'}; allow it in its access list"
        )
    for topic in removed if found else ():
        print(f"removed {topic}")
    if not found:
        print(f"nothing was announced of {', '.join(nodes)} below {prefix}/")
    elif settings.home_assistant.discovery != "off":
        print("a running affectd announces itself again; set home_assistant.discovery: off first")
