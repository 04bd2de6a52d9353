"""The MQTT broker, from its name to its access list.

The running node is not disturbed: the connection has another name and no last will, retains
nothing, and publishes on a topic below the node's that nothing else uses.
"""

import os
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from affectd import __version__
from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.errors import BrokerError, BrokerRefusesError, SettingsError
from affectd.daemon.publish.home_assistant import Discovery
from affectd.daemon.publish.session import Session
from affectd.daemon.settings import CREDENTIAL, Settings, password

PROBE: Final = "doctor"  # the topic below a node's
SOON_DAYS: Final = 14.0


def check(case: Case) -> Iterator[Finding]:
    """Connect, log in, subscribe where the nodes do, and publish below their topics."""
    settings, began_s = case.settings.mqtt, time.monotonic()
    if (hidden := hidden_password(case)) is not None:
        message = f"the password in {hidden} is not this user's to read"
        yield wrong("broker", Problem.NOT_PERMITTED, message)
        return
    where = f"{settings.host}:{settings.port}"
    try:
        with Session(settings, password(settings, case.environment)) as session:
            took_ms = round(1000 * (time.monotonic() - began_s))
            yield well(
                "broker",
                f"{where} lets {settings.username or 'guests'} in, MQTT {settings.version}"
                f"{' over TLS' if settings.tls else ''}, in {took_ms} ms",
                host=settings.host,
                port=settings.port,
                version=settings.version,
                tls=settings.tls,
                connect_ms=took_ms,
            )
            yield from judge_certificate(session.certificate_until_s, time.time())
            for node in case.settings.nodes():
                yield from _topics(session, case, node)
    except SettingsError as error:
        yield wrong("broker", Problem.CONFIGURATION_WRONG, str(error))
    except BrokerError as error:
        cause = error.__cause__
        message = str(error) if cause is None else f"{where} cannot be reached: {cause}"
        facts = {"host": settings.host, "port": settings.port}
        yield wrong("broker", problem_of(error), message, **facts)


def hidden_password(case: Case) -> Path | None:
    """The service's credential, if it is one that this user cannot read."""
    folder = case.environment.get("CREDENTIALS_DIRECTORY")
    if folder is None or case.settings.mqtt.password_file is not None:
        return None
    path = Path(folder) / CREDENTIAL
    return None if os.access(path, os.R_OK, effective_ids=True) else path


def problem_of(error: BrokerError) -> Problem:
    """How far the connection came."""
    match error.__cause__:
        case socket.gaierror():
            return Problem.BROKER_UNRESOLVABLE
        case ssl.SSLError():
            return Problem.BROKER_UNTRUSTED
        case OSError() | ValueError():
            return Problem.BROKER_UNREACHABLE
    is_refusal = isinstance(error, BrokerRefusesError)
    return Problem.BROKER_REFUSES if is_refusal else Problem.BROKER_NO_ANSWER


def judge_certificate(until_s: float | None, now_s: float) -> Iterator[Finding]:
    """until_s: when the broker's ends; None if it has shown none."""
    if until_s is not None and (days := (until_s - now_s) / 86_400) < SOON_DAYS:
        message = f"its certificate ends in {days:.0f} day(s)"
        yield wrong("broker", Problem.BROKER_CERTIFICATE_ENDS, message, days=round(days, 1))


def _topics(session: Session, case: Case, node: Settings) -> Iterator[Finding]:
    """What a node may do there. Raises BrokerError."""
    base, name = f"{node.mqtt.root}/{node.node}", node.node
    topics = [f"{base}/listening/set", f"{base}/command/+", *_discovery(node)]
    problems = [
        wrong(
            "broker",
            Problem.BROKER_SUBSCRIBE_REFUSED,
            case.of_node(name, f"it does not let affectd subscribe {topic} ({reason})"),
            node=name,
            topic=topic,
        )
        for topic, reason in session.subscribe(topics).items()
    ]
    for topic in session.retained(topics[:2]):
        message = case.of_node(name, f"{topic} holds a retained command, which is not obeyed")
        problems.append(
            wrong("broker", Problem.BROKER_RETAINED_COMMAND, message, node=name, topic=topic)
        )
    if (problem := _published(session, case, node, f"{base}/{PROBE}")) is not None:
        problems.append(problem)
    yield from problems
    if not problems:
        message = case.of_node(name, f"it takes what is published below {base}/, and commands")
        yield well("broker", message, node=name, topics=topics)


def _published(session: Session, case: Case, node: Settings, topic: str) -> Finding | None:
    """What becomes of a message on a topic that nothing else uses; None if it is taken."""
    payload = f'{{"doctor":"{secrets.token_hex(8)}","version":"{__version__}"}}'.encode()
    facts = {"node": node.node, "topic": topic}
    if node.mqtt.version == 5:
        for reason in session.publish([topic], payload).values():
            message = case.of_node(node.node, f"it refuses what is published on {topic} ({reason})")
            return wrong("broker", Problem.BROKER_PUBLISH_REFUSED, message, **facts)
    elif not session.comes_back(topic, payload):
        message = case.of_node(
            node.node,
            f"whether it takes what is published on {topic} cannot be told: MQTT 3.1.1 says "
            "nothing, and the message did not come back",
        )
        return wrong("broker", Problem.BROKER_UNVERIFIED, message, **facts)
    return None


def _discovery(node: Settings) -> Sequence[str]:
    """Where the node listens to Home Assistant."""
    form, prefix = node.home_assistant.discovery, node.home_assistant.prefix
    if form == "off":
        return ()
    return Discovery(form, node.node, node.mqtt.root, __version__, prefix).subscriptions
