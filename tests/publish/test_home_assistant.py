import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jinja2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.capture.source import State
from affectd.daemon.commands import homeassistant
from affectd.daemon.emotion.decision import CIRCUMPLEX
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish import commands, home_assistant
from affectd.daemon.publish.home_assistant import Discovery, Message
from affectd.daemon.publish.session import Session
from affectd.daemon.service import HEALTH_S
from affectd.daemon.settings import Mqtt
from tests.conftest import ROOT, Listener, Mosquitto, free_port, wait_until
from tests.examples.contract import OBEYED, PUBLISHED
from tests.publish.samples import health, mood, utterance

PREFIX = "homeassistant"
NODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)
DEVICE = home_assistant.device_payload("kitchen", "affectd", "1.0")
COMPONENTS: dict[str, dict[str, Any]] = DEVICE["components"]
# What Home Assistant's sensor classes take; without a class, any unit goes.
UNITS: dict[str, set[str | None]] = {"duration": {"s", "ms"}, "enum": {None}}
MDI = r"mdi:[a-z]+(-[a-z]+)*"


def render(template: str, payload: bytes) -> str:
    """What a template makes of a payload: as Home Assistant does it, an error if a name is wrong."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    try:
        value_json = json.loads(payload)
    except json.JSONDecodeError:
        value_json = None
    return environment.from_string(template).render(value=payload.decode(), value_json=value_json)


def sample(topic: str) -> bytes:
    """A message as it is published on a topic."""
    messages = {"utterance": utterance(), "mood": mood(), "health": health()}
    name = topic.removeprefix("affectd/kitchen/")
    if name in messages:
        return msgspec.json.encode(messages[name])
    return {"status": b"online", "speech": b"OFF", "listening": b"ON"}[name]


def state(key: str, payload: bytes | None = None) -> str:
    """What Home Assistant shows of an entity."""
    config = COMPONENTS[key]
    told = sample(config["state_topic"]) if payload is None else payload
    return render(config.get("value_template", "{{ value }}"), told)


def topics(config: Any) -> Iterator[tuple[str, str]]:
    """Every topic that a payload names, with its key."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key.endswith("topic"):
                yield key, value
            else:
                yield from topics(value)
    elif isinstance(config, list):
        for value in config:
            yield from topics(value)


def test_every_topic_is_one_of_affectds() -> None:
    named = list(topics(DEVICE))
    assert len(named) > 2 * len(COMPONENTS)
    for key, topic in named:
        general = topic.replace("affectd/kitchen/", "affectd/+/")
        assert general in (OBEYED if key == "command_topic" else PUBLISHED)


def test_topics_begin_with_the_configured_root() -> None:
    payload = home_assistant.device_payload("attic", "house/voices", "1.0")
    assert all(topic.startswith("house/voices/attic/") for _, topic in topics(payload))


@given(NODES)
def test_ids_are_unique_and_valid_for_every_node(node: str) -> None:
    components = home_assistant.device_payload(node, "affectd", "1.0")["components"]
    unique = {config["unique_id"] for config in components.values()}
    assert unique == {f"affectd_{node}_{key}" for key in components}
    for config in components.values():
        domain, _, name = config["default_entity_id"].partition(".")
        assert domain == config["platform"]
        assert re.fullmatch(r"affectd_[a-z0-9]+(_[a-z0-9]+)*", name)


def test_ids_are_those_that_home_assistant_makes_of_the_names() -> None:
    for key, config in COMPONENTS.items():
        assert config["name"].lower().replace(" ", "_") == key
    assert COMPONENTS["mood"]["default_entity_id"] == "sensor.affectd_kitchen_mood"


@given(NODES)
def test_both_forms_tell_the_same_of_every_entity(node: str) -> None:
    device = home_assistant.device_payload(node, "affectd", "1.0")
    single = home_assistant.entity_payloads(node, "affectd", "1.0", PREFIX)
    assert len(single) == len(device["components"])
    for key, config in device["components"].items():
        expected = dict(config)
        platform = expected.pop("platform")
        told = dict(single[f"{PREFIX}/{platform}/affectd_{node}/{key}/config"])
        assert f"{platform}.{told.pop('object_id')}" == expected["default_entity_id"]
        assert told == expected | {k: device[k] for k in ("device", "origin", "qos")}


@pytest.mark.parametrize("key", [k for k, c in COMPONENTS.items() if "state_topic" in c])
def test_a_state_is_one_that_the_entity_may_have(key: str) -> None:
    config, shown = COMPONENTS[key], state(key)
    if "options" in config:
        assert shown in config["options"]
    elif config["platform"] in {"binary_sensor", "switch"}:
        assert shown in {config["payload_on"], config["payload_off"]}
    elif config["platform"] == "event":
        assert json.loads(shown)["event_type"] in config["event_types"]
    elif config["platform"] == "number":
        assert config["min"] <= float(shown) <= config["max"]
    elif "state_class" in config:
        assert float(shown) is not None
    else:
        assert shown


@pytest.mark.parametrize("key", [k for k, c in COMPONENTS.items() if "json_attributes_topic" in c])
def test_attributes_are_members_of_the_message(key: str) -> None:
    config = COMPONENTS[key]
    payload = sample(config["json_attributes_topic"])
    attributes = json.loads(render(config["json_attributes_template"], payload))
    assert attributes.items() <= json.loads(payload).items()
    assert len(attributes) >= 3


def test_an_event_holds_the_whole_reading() -> None:
    fired = json.loads(state("utterance"))
    assert fired.pop("event_type") == "sad"
    assert fired == json.loads(sample("utterance"))


def test_confidence_valence_and_arousal_are_those_of_the_mood() -> None:
    assert state("confidence") == "60.0"
    probabilities = msgspec.structs.astuple(mood().probabilities)
    valence, arousal = probabilities @ CIRCUMPLEX
    assert float(state("valence")) == pytest.approx(valence, abs=1e-3)
    assert float(state("arousal")) == pytest.approx(arousal, abs=1e-3)


@pytest.mark.parametrize("key", ["confidence", "valence", "arousal"])
def test_numbers_of_the_mood_are_unknown_in_an_idle_room(key: str) -> None:
    assert state(key, msgspec.json.encode(mood("idle"))) == "None"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("inference", health(inference_ms=None)),
        ("signal_to_noise", msgspec.structs.replace(utterance(), snr_db=None)),
    ],
)
def test_a_number_that_is_not_known_is_unknown(key: str, message: msgspec.Struct) -> None:
    assert state(key, msgspec.json.encode(message)) == "None"


@pytest.mark.parametrize("told", get_args(State))
def test_a_microphone_that_hears_nothing_is_a_problem(told: State) -> None:
    payload = msgspec.json.encode(health(listening=told))
    assert state("microphone_problem", payload) == (
        "ON" if told in {"lost", "failed", "silent"} else "OFF"
    )


@pytest.mark.parametrize("told", get_args(State))
def test_what_hears_is_unavailable_without_a_microphone(told: State) -> None:
    payload = msgspec.json.encode(health(listening=told))
    status, hearing = COMPONENTS["mood"]["availability"]
    assert (status["topic"], hearing["topic"]) == (
        "affectd/kitchen/status",
        "affectd/kitchen/health",
    )
    available = render(hearing["value_template"], payload)
    assert available == ("offline" if told in {"lost", "failed"} else "online")


def test_what_is_told_every_minute_expires_and_what_is_told_seldom_does_not() -> None:
    takes_it = {"sensor", "binary_sensor"}
    expiring = {key for key, config in COMPONENTS.items() if "expire_after" in config}
    assert expiring == {
        key
        for key, config in COMPONENTS.items()
        if config["platform"] in takes_it and config.get("state_topic", "").endswith("/health")
    }
    assert all(COMPONENTS[key]["expire_after"] > 2 * HEALTH_S for key in expiring)


@pytest.mark.parametrize("key", ["listening", "microphone_problem", "threshold", "voice_reset"])
def test_what_mends_a_node_needs_no_microphone(key: str) -> None:
    assert COMPONENTS[key]["availability"] == [{"topic": "affectd/kitchen/status"}]


def test_the_threshold_that_is_sent_is_obeyed() -> None:
    payload = render(COMPONENTS["threshold"]["command_template"].replace("value", "0.45"), b"null")
    command = commands.parse("threshold", payload.encode(), False)
    assert getattr(command, "threshold", None) == 0.45


def test_the_press_of_the_button_is_obeyed() -> None:
    payload = COMPONENTS["voice_reset"]["payload_press"].encode()
    assert commands.parse("voice-reset", payload, False)


def test_no_command_is_retained() -> None:
    told = [config for config in COMPONENTS.values() if "command_topic" in config]
    assert len(told) == 3
    assert not any(config["retain"] for config in told)


@pytest.mark.parametrize("key", COMPONENTS)
def test_units_and_icons_are_those_of_the_class(key: str) -> None:
    config = COMPONENTS[key]
    kind, unit = config.get("device_class"), config.get("unit_of_measurement")
    assert unit in UNITS.get(str(kind), {unit})
    if "options" in config:
        assert "state_class" not in config
    if "unit_of_measurement" in config:
        assert "state_class" in config
    if kind in {None, "enum"}:
        assert re.fullmatch(MDI, config["icon"])


def test_the_payload_is_small_for_a_broker() -> None:
    assert len(msgspec.json.encode(DEVICE)) < 12_000


@pytest.mark.parametrize("form", ["device", "entities"])
def test_each_announcement_is_retained_and_matches_what_is_looked_for(
    form: home_assistant.Form,
) -> None:
    told = Discovery(form, "kitchen", "affectd", "1.0", PREFIX).messages()
    patterns = [f.replace("+", "[^/]+") for f in home_assistant.filters("kitchen", PREFIX)]
    removed = home_assistant.removal("kitchen", PREFIX)
    for message in told:
        assert message.retain
        assert any(re.fullmatch(pattern, message.topic) for pattern in patterns)
        assert message.topic in removed


@pytest.mark.parametrize(("form", "other"), [("device", "entities"), ("entities", "device")])
def test_what_is_left_of_the_other_form_moves_and_goes(
    form: home_assistant.Form, other: home_assistant.Form
) -> None:
    left = Discovery(other, "kitchen", "affectd", "0.9", PREFIX).messages()
    discovery = Discovery(form, "kitchen", "affectd", "1.0", PREFIX)
    assert all(discovery.found(message.topic, message.payload, True) for message in left)
    topics = sorted(message.topic for message in left)
    own = Discovery(form, "kitchen", "affectd", "1.0", PREFIX).messages()
    assert discovery.messages() == [
        *(Message(topic, home_assistant.MIGRATE, retain=False) for topic in topics),
        *(Message(topic, b"") for topic in topics),
        *own,
    ]
    assert discovery.messages() == own


def test_an_entity_that_is_no_more_goes() -> None:
    discovery = Discovery("entities", "kitchen", "affectd", "1.0", PREFIX)
    topic = f"{PREFIX}/sensor/affectd_kitchen/heartbeat/config"
    assert discovery.found(topic, b"{}", True)
    assert Message(topic, b"") in discovery.messages()


@pytest.mark.parametrize("form", ["device", "entities"])
def test_its_own_announcement_and_news_are_no_reason_to_announce(
    form: home_assistant.Form,
) -> None:
    discovery = Discovery(form, "kitchen", "affectd", "1.0", PREFIX)
    own = discovery.messages()
    assert not any(discovery.found(message.topic, message.payload, True) for message in own)
    for topic in home_assistant.removal("kitchen", PREFIX):
        assert not discovery.found(topic, b"{}", False)
        assert not discovery.found(topic, b"", True)
    assert not discovery.found(f"{PREFIX}/status", b"online", True)
    assert discovery.messages() == own


def test_a_birth_is_online_on_the_status_of_the_prefix() -> None:
    discovery = Discovery("device", "kitchen", "affectd", "1.0", PREFIX)
    assert f"{PREFIX}/status" in discovery.subscriptions
    assert discovery.is_birth(f"{PREFIX}/status", b"online")
    assert not discovery.is_birth(f"{PREFIX}/status", b"offline")
    assert not discovery.is_birth("affectd/kitchen/status", b"online")


@pytest.fixture
def configured(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> argparse.Namespace:
    """The arguments for a node called kitchen on a real broker."""
    config = tmp_path / "affectd.yaml"
    mqtt = {"host": "127.0.0.1", "port": mosquitto.port}
    config.write_text(json.dumps({"node": "kitchen", "mqtt": mqtt}))
    return argparse.Namespace(action="remove", config=config)


def announce(mosquitto: Mosquitto, form: home_assistant.Form) -> set[str]:
    """Leave an announcement on the broker; return its topics."""
    listener = Listener(mosquitto.port)
    told = Discovery(form, "kitchen", "affectd", "1.0", PREFIX).messages()
    for message in told:
        sent = listener.client.publish(message.topic, message.payload, 1, message.retain)
        sent.wait_for_publish(10)
    listener.close()
    return {message.topic for message in told}


def retained(mosquitto: Mosquitto) -> list[str]:
    with Session(Mqtt(host="127.0.0.1", port=mosquitto.port), None) as s:
        return list(s.retained([f"{PREFIX}/#"]))


@pytest.mark.parametrize("forms", [["device"], ["entities"], ["device", "entities"]])
def test_remove_empties_what_is_announced(
    forms: list[home_assistant.Form],
    configured: argparse.Namespace,
    mosquitto: Mosquitto,
    capsys: pytest.CaptureFixture[str],
) -> None:
    announced = {topic for form in forms for topic in announce(mosquitto, form)}
    listener = Listener(mosquitto.port)
    listener.client.publish(f"{PREFIX}/sensor/other/mood/config", b"{}", 1, retain=True)
    wait_until(lambda: len(retained(mosquitto)) == len(announced) + 1, "all is retained")
    assert homeassistant.run(configured) == 0
    out = capsys.readouterr().out
    assert set(re.findall(r"removed (\S+)", out)) == announced
    assert "set home_assistant.discovery: off first" in out
    assert retained(mosquitto) == [f"{PREFIX}/sensor/other/mood/config"]
    listener.close()


def test_remove_tells_home_assistant_even_if_the_broker_has_lost_everything(
    configured: argparse.Namespace, mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = Listener(mosquitto.port)
    listener.client.subscribe(f"{PREFIX}/#", 1)
    wait_until(lambda: homeassistant.run(configured) == 0, "it is removed")
    told = home_assistant.removal("kitchen", PREFIX)
    wait_until(lambda: {m.topic for m in listener.messages} >= set(told), "all is told")
    assert "nothing was announced of kitchen" in capsys.readouterr().out
    listener.close()


def test_remove_tells_that_the_broker_cannot_be_reached(tmp_path: Path) -> None:
    config = tmp_path / "affectd.yaml"
    port = free_port()
    config.write_text(json.dumps({"mqtt": {"host": "127.0.0.1", "port": port}}))
    with pytest.raises(BrokerError, match=rf"127.0.0.1:{port} cannot be reached: .*; check mqtt"):
        homeassistant.run(argparse.Namespace(action="remove", config=config))


def test_remove_tells_that_the_broker_refuses_it(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, "allow_anonymous false")
    broker.start()
    config = tmp_path / "affectd.yaml"
    config.write_text(json.dumps({"mqtt": {"host": "127.0.0.1", "port": broker.port}}))
    with pytest.raises(BrokerError, match=r"refused the connection: Not authorized; check mqtt"):
        homeassistant.run(argparse.Namespace(action="remove", config=config))
    broker.stop()


def test_remove_tells_that_it_may_not_write(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\n")
    broker = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {rules}")
    broker.start()
    config = tmp_path / "affectd.yaml"
    config.write_text(json.dumps({"mqtt": {"host": "127.0.0.1", "port": broker.port}}))
    with pytest.raises(BrokerError, match="lets nobody write homeassistant/device/affectd_home"):
        homeassistant.run(argparse.Namespace(action="remove", config=config))
    broker.stop()


def test_show_prints_what_is_published(
    configured: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.action = "show"
    assert homeassistant.run(configured) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["topic"] == f"{PREFIX}/device/affectd_kitchen/config"
    assert set(told["payload"]["components"]) == set(COMPONENTS)


def test_the_documentation_names_every_entity() -> None:
    text = (ROOT / "docs" / "home-assistant.md").read_text()
    for key, config in COMPONENTS.items():
        assert f"| `{config['platform']}.affectd_<node>_{key}` |" in text
