"""What the broker did not have goes on `history` once, and what it was told is answered."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from affectd.daemon import schemas
from affectd.daemon.control import Control
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import HomeAssistantSettings, Mqtt
from tests.conftest import Listener, Mosquitto, wait_until
from tests.publish.samples import utterance

KITCHEN = "affectd/kitchen"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", 100_000, 30)
    yield journal
    journal.close()


def ids(listener: Listener, name: str) -> list[str]:
    return [json.loads(payload)["id"] for payload in listener.on(f"{KITCHEN}/{name}")]


def test_readings_made_while_the_broker_was_away_arrive_once_as_history(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker = Mosquitto(tmp_path)
    publisher = MqttPublisher(
        Mqtt(host="127.0.0.1", port=broker.port, history_per_s=200), "kitchen", None, journal
    )
    for number in range(150):
        publisher.utterance(utterance(str(number)))
    broker.start()
    listener = Listener(broker.port)
    publisher.start()
    assert publisher.wait_until_connected(10)
    publisher.utterance(utterance("live"))
    wait_until(lambda: len(ids(listener, "history")) >= 150, "all are repeated")
    wait_until(lambda: journal.count_pending("kitchen") == 0, "all are acknowledged")
    assert ids(listener, "history") == [str(number) for number in range(150)]
    assert ids(listener, "utterance") == ["live"]
    repeated = json.loads(listener.on(f"{KITCHEN}/history")[0])
    jsonschema.validate(repeated, schemas.schema("history"))
    assert repeated["replayed"] is True
    assert repeated["time"] == utterance().time
    assert not any(message.retained for message in listener.messages if "history" in message.topic)
    assert "150 reading(s) made while it was away go on affectd/kitchen/history" in caplog.text
    publisher.stop()
    listener.close()
    broker.stop()


def test_the_history_keeps_to_its_rate(mosquitto: Mosquitto, journal: Journal) -> None:
    listener = Listener(mosquitto.port)
    publisher = MqttPublisher(
        Mqtt(port=mosquitto.port, history_per_s=0.5), "kitchen", None, journal
    )
    for number in range(5):
        journal.add(utterance(str(number)))
    publisher.start()
    wait_until(lambda: ids(listener, "history"), "the first is repeated")
    publisher.utterance(utterance("live"))
    wait_until(lambda: ids(listener, "utterance"), "the live one does not wait")
    assert ids(listener, "history") == ["0"]
    publisher.stop()
    assert journal.count_pending("kitchen") == 4
    listener.close()


def test_what_was_acknowledged_is_not_repeated_by_the_next_run(
    mosquitto: Mosquitto, journal: Journal
) -> None:
    listener = Listener(mosquitto.port)
    for run in ("a", "b"):
        publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None, journal)
        publisher.start()
        assert publisher.wait_until_connected(10)
        publisher.utterance(utterance(run))
        publisher.stop()
    wait_until(lambda: len(ids(listener, "utterance")) == 2, "both arrive")
    assert ids(listener, "history") == []
    assert journal.count_pending("kitchen") == 0
    listener.close()


def test_nodes_that_share_a_journal_repeat_their_own_readings_alone(
    mosquitto: Mosquitto, journal: Journal
) -> None:
    import msgspec

    for number in range(4):
        node = ("kitchen", "study")[number % 2]
        journal.add(msgspec.structs.replace(utterance(str(number)), node=node))
    listener = Listener(mosquitto.port)
    publishers = [
        MqttPublisher(Mqtt(port=mosquitto.port, history_per_s=100), node, None, journal)
        for node in ("kitchen", "study")
    ]
    for publisher in publishers:
        publisher.start()
    wait_until(lambda: len(ids(listener, "history")) == 2, "the kitchen has its own")
    wait_until(lambda: len(listener.on("affectd/study/history")) == 2, "the study has its own")
    assert ids(listener, "history") == ["0", "2"]
    for publisher in publishers:
        publisher.stop()
    listener.close()


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def obeying(mosquitto: Mosquitto, control: Control, listener: Listener) -> Iterator[MqttPublisher]:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None, control=control)
    publisher.start()
    assert publisher.wait_until_connected(10)
    yield publisher
    publisher.stop()


def answers(listener: Listener, name: str) -> list[dict[str, Any]]:
    """What was answered to a command."""
    found = [json.loads(payload) for payload in listener.on(f"{KITCHEN}/command/result")]
    return [answer for answer in found if answer["command"] == name]


def told(listener: Listener, name: str, payload: bytes) -> dict[str, Any]:
    """Send a command, and return the answer."""
    listener.client.publish(f"{KITCHEN}/command/{name}", payload, 1)
    wait_until(lambda: answers(listener, name), "the answer arrives")
    (answer,) = answers(listener, name)
    jsonschema.validate(answer, schemas.schema("command-result"))
    return answer


def ready(listener: Listener) -> None:
    """Wait until the node obeys: it subscribes after it says that it is online."""

    def is_answered() -> bool:
        listener.client.publish(f"{KITCHEN}/command/voice-reset", b"", 1)
        return bool(answers(listener, "voice-reset"))

    wait_until(is_answered, "the node answers")


def test_a_command_is_obeyed_and_answered_with_its_id(
    obeying: MqttPublisher, listener: Listener, control: Control
) -> None:
    ready(listener)
    answer = told(listener, "threshold", b'{"threshold": 0.25, "id": "x-1"}')
    assert (answer["id"], answer["command"], answer["ok"], answer["error"]) == (
        "x-1",
        "threshold",
        True,
        "",
    )
    assert control.rules.threshold == 0.25


@pytest.mark.parametrize(
    ("name", "payload", "error"),
    [
        ("threshold", b'{"threshold": 2, "id": "x"}', "Expected `float` <= 1.0"),
        ("classes", b"{", "Input data was truncated"),
        ("quiet", b"x" * 1_000_000, "it has 1000000 bytes; a command has at most 4096"),
        ("restart", b"{}", "there is no command 'restart'"),
    ],
)
def test_a_wrong_command_is_answered_with_what_is_wrong(
    obeying: MqttPublisher, listener: Listener, name: str, payload: bytes, error: str
) -> None:
    ready(listener)
    answer = told(listener, name, payload)
    assert answer["ok"] is False
    assert error in answer["error"]
    assert answer["command"] == name


def test_a_command_of_another_node_is_not_ours(
    obeying: MqttPublisher, listener: Listener, control: Control
) -> None:
    ready(listener)
    listener.client.publish("affectd/study/command/threshold", b'{"threshold": 0.1}', 1)
    told(listener, "quiet", b'{"for_s": 60}')
    assert control.rules.threshold is None
    assert control.quiet_s > 0


def test_a_retained_command_is_refused_with_an_answer(
    mosquitto: Mosquitto, listener: Listener, control: Control
) -> None:
    payload = b'{"threshold": 0.1, "id": "old"}'
    listener.client.publish(f"{KITCHEN}/command/threshold", payload, 1, retain=True)
    wait_until(lambda: listener.on(f"{KITCHEN}/command/threshold"), "it is there")
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None, control=control)
    publisher.start()
    results = f"{KITCHEN}/command/result"
    wait_until(lambda: listener.on(results), "the answer arrives")
    answer = json.loads(listener.on(results)[0])
    assert (answer["id"], answer["ok"]) == ("old", False)
    assert answer["error"].startswith("it is retained, so it may be old")
    assert control.rules.threshold is None
    publisher.stop()


def test_the_answer_carries_the_correlation_data_of_mqtt_5(
    obeying: MqttPublisher, mosquitto: Mosquitto, listener: Listener
) -> None:
    ready(listener)
    received: list[paho.MQTTMessage] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = lambda _client, _data, message: received.append(message)
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe(f"{KITCHEN}/command/result", 1)
    client.loop_start()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = b"\x01\xff"
    topic = f"{KITCHEN}/command/diagnostics"
    client.publish(topic, b'{"for_s": 0}', 1, properties=properties)

    def correlations() -> list[bytes]:
        return [getattr(message.properties, "CorrelationData", b"") for message in received]

    wait_until(lambda: b"\x01\xff" in correlations(), "the answer arrives")
    client.disconnect()
    client.loop_stop()


def test_home_assistant_is_told_on_each_connection_and_after_its_birth(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectd.daemon.publish import mqtt

    monkeypatch.setattr(mqtt, "JITTER_S", 0.01)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    heard: list[paho.MQTTMessage] = []
    client.on_message = lambda _client, _data, message: heard.append(message)
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe([("ha/#", 1), (f"{KITCHEN}/speech", 1)])
    client.loop_start()
    settings = HomeAssistantSettings(prefix="ha")
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None, home_assistant=settings)
    publisher.speech(False)
    publisher.start()
    topic = "ha/device/affectd_kitchen/config"

    def count(topic: str) -> int:
        return sum(message.topic == topic for message in heard)

    wait_until(lambda: count(topic) == 1, "the device is announced")
    payload = json.loads(next(m.payload for m in heard if m.topic == topic))
    assert payload["components"]["mood"]["state_topic"] == f"{KITCHEN}/mood"
    client.publish("ha/status", b"online", 1)
    wait_until(lambda: count(topic) == 2, "it is announced again")
    assert count(f"{KITCHEN}/speech") == 1
    late: list[paho.MQTTMessage] = []
    client.message_callback_add(topic, lambda _client, _data, message: late.append(message))
    client.unsubscribe("ha/#")
    client.subscribe("ha/#", 1)
    wait_until(lambda: any(message.retain for message in late), "it is retained")
    publisher.stop()
    client.disconnect()
    client.loop_stop()
