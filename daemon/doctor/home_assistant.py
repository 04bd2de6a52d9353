"""Home Assistant, as far as the broker knows of it.

It says `online` when it starts and retains that only if it is told to, so that it may be there
without a sign; what affectd announced is retained.
"""

from collections.abc import Iterator, Mapping

from affectd.daemon.doctor.broker import hidden_password
from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.errors import BrokerError, SettingsError
from affectd.daemon.publish.home_assistant import BIRTH, device_topic, filters
from affectd.daemon.publish.session import Session
from affectd.daemon.settings import password

NAME = "home-assistant"


def check(case: Case) -> Iterator[Finding]:
    """Look for what is retained of Home Assistant and for it."""
    if case.settings.home_assistant.discovery == "off":
        yield wrong(NAME, Problem.HOME_ASSISTANT_OFF, "home_assistant.discovery is off")
        return
    if hidden_password(case) is not None:
        message = "the broker's password is not this user's to read"
        yield wrong(NAME, Problem.NOT_PERMITTED, message)
        return
    prefix, settings = case.settings.home_assistant.prefix, case.settings.mqtt
    names = [node.node for node in case.settings.nodes()]
    topics = [f"{prefix}/status", *(topic for name in names for topic in filters(name, prefix))]
    try:
        with Session(settings, password(settings, case.environment)) as session:
            retained = session.retained(topics)
    except (BrokerError, SettingsError):
        yield wrong(NAME, Problem.HOME_ASSISTANT_UNKNOWN, "the broker cannot be asked for it")
        return
    yield _seen(prefix, retained)
    for name in names:
        yield _announced(case, name, prefix, retained)


def _seen(prefix: str, retained: Mapping[str, bytes]) -> Finding:
    status = retained.get(f"{prefix}/status")
    if status is None:
        message = f"it was not seen: nothing is retained on {prefix}/status"
        return wrong(NAME, Problem.HOME_ASSISTANT_NOT_SEEN, message)
    if status != BIRTH:
        told = status.decode(errors="replace")
        return wrong(NAME, Problem.HOME_ASSISTANT_OFFLINE, f"{prefix}/status says {told}")
    return well(NAME, f"{prefix}/status says online")


def _announced(case: Case, node: str, prefix: str, retained: Mapping[str, bytes]) -> Finding:
    single = f"/affectd_{node}/"
    topics = [one for one in retained if one == device_topic(node, prefix) or single in one]
    if not topics:
        message = case.of_node(node, f"nothing is announced of it below {prefix}/")
        return wrong(NAME, Problem.HOME_ASSISTANT_NOT_ANNOUNCED, message, node=node)
    message = case.of_node(node, f"it is announced on {topics[0]}")
    return well(NAME, message, node=node, topics=topics)
