"""The example broker for many nodes, in the real mosquitto."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import Mqtt
from tests.certificates import make_authority
from tests.conftest import Mosquitto, wait_until
from tests.examples.contract import EXAMPLES, OBEYED, PUBLISHED
from tests.publish.samples import utterance

NOT_AUTHORIZED = 135  # MQTT 5's reason code
USERS = ("kitchen", "hall", "homeassistant", "reader")
COMMANDS = sorted(topic.replace("+", "kitchen") for topic in OBEYED)


@dataclass
class Guarded(Mosquitto):
    """A broker with the example's own files; each user's password is the user's name."""

    def start(self) -> None:
        (self.folder / "certs").mkdir()
        make_authority(self.folder / "certs")
        passwords = self.folder / "affectd.passwd"
        passwords.touch()
        for user in USERS:
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, user], check=True)
        (self.folder / "affectd.acl").write_text((EXAMPLES / "mosquitto/affectd.acl").read_text())
        text = (EXAMPLES / "mosquitto" / "mosquitto.conf").read_text()
        text = text.replace("/etc/mosquitto/", f"{self.folder}/")
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        config = self.folder / "mosquitto.conf"
        config.write_text(f"{text}user root\n")
        self.process = subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "mosquitto answers")

    @property
    def authority(self) -> str:
        return str(self.folder / "certs" / "ca.crt")


class User:
    """A client of one user over TLS with MQTT 5, which alone tells of a refusal."""

    def __init__(self, broker: Guarded, name: str, *subscriptions: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._reasons: dict[int, int] = {}
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(name, name)
        self._client.tls_set_context(ssl.create_default_context(cafile=broker.authority))
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("localhost", broker.port)
        self._client.loop_start()
        if subscriptions:
            self._client.subscribe([(topic, SubscribeOptions(1)) for topic in subscriptions])
            assert subscribed.wait(10)

    def publish(self, topic: str, payload: str = "x", retain: bool = False) -> int:
        """Publish with QoS 1; return the broker's reason code."""
        number = self._client.publish(topic, payload, 1, retain).mid
        wait_until(lambda: number in self._reasons, f"{topic} is acknowledged")
        return self._reasons[number]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(
        self, _client: object, _data: object, number: int, reason: ReasonCode, _more: object
    ) -> None:
        self._reasons[number] = reason.value


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    broker = Guarded(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def kitchen(broker: Guarded) -> Iterator[User]:
    user = User(broker, "kitchen", "affectd/#")
    yield user
    user.close()


@pytest.fixture
def home_assistant(broker: Guarded) -> Iterator[User]:
    user = User(broker, "homeassistant", "affectd/#")
    yield user
    user.close()


@pytest.fixture
def reader(broker: Guarded) -> Iterator[User]:
    user = User(broker, "reader", "affectd/#")
    yield user
    user.close()


def accepted(reason: int) -> bool:
    return reason < 128


@pytest.mark.parametrize("topic", sorted(PUBLISHED))
def test_a_node_publishes_below_its_own_name_alone(topic: str, kitchen: User) -> None:
    assert accepted(kitchen.publish(topic.replace("+", "kitchen")))
    assert kitchen.publish(topic.replace("+", "hall")) == NOT_AUTHORIZED


def test_a_node_announces_itself_alone_to_home_assistant(kitchen: User) -> None:
    for topic in ("device/affectd_kitchen/config", "sensor/affectd_kitchen/mood/config"):
        assert accepted(kitchen.publish(f"homeassistant/{topic}"))
    others = ("device/affectd_hall/config", "sensor/affectd_hall/mood/config", "status")
    for topic in (f"homeassistant/{other}" for other in others):
        assert kitchen.publish(topic) == NOT_AUTHORIZED


def test_a_refused_message_does_not_arrive(kitchen: User, reader: User) -> None:
    kitchen.publish("affectd/hall/utterance")
    kitchen.publish("affectd/kitchen/utterance")
    wait_until(lambda: reader.heard, "what is allowed arrives")
    assert [topic for topic, _ in reader.heard] == ["affectd/kitchen/utterance"]


def test_a_node_hears_its_own_commands_and_no_other_room(
    kitchen: User, home_assistant: User
) -> None:
    hall = [topic.replace("kitchen", "hall") for topic in COMMANDS]
    for topic in [*hall, *COMMANDS, "homeassistant/status"]:
        assert accepted(home_assistant.publish(topic))
    wait_until(lambda: len(kitchen.heard) >= len(COMMANDS), "the commands arrive")
    assert sorted(topic for topic, _ in kitchen.heard) == COMMANDS


def test_a_reader_hears_every_room_and_commands_none(kitchen: User, reader: User) -> None:
    for topic in [*COMMANDS, "affectd/kitchen/utterance", "homeassistant/status"]:
        assert reader.publish(topic) == NOT_AUTHORIZED
    kitchen.publish("affectd/kitchen/mood", "calm")
    wait_until(lambda: ("affectd/kitchen/mood", b"calm") in reader.heard, "the mood arrives")


def test_nobody_gets_in_without_the_password(broker: Guarded) -> None:
    broker_options = f"-h localhost -p {broker.port} --cafile {broker.authority}"
    words = f"mosquitto_pub {broker_options} -u kitchen -P hall -t affectd/kitchen/mood -m x"
    refused = subprocess.run(words.split(), capture_output=True, text=True, check=False)
    assert "not authorised" in refused.stderr


def test_affectd_publishes_over_tls_as_its_own_user(broker: Guarded, reader: User) -> None:
    settings = Mqtt(port=broker.port, username="kitchen", tls=True, ca_file=str(broker.authority))
    publisher = MqttPublisher(settings, "kitchen", "kitchen")
    publisher.start()
    assert publisher.wait_until_connected(10)
    publisher.utterance(utterance("x"))
    publisher.stop()
    wait_until(lambda: ("affectd/kitchen/status", b"offline") in reader.heard, "offline arrives")
    (reading,) = [p for topic, p in reader.heard if topic == "affectd/kitchen/utterance"]
    assert json.loads(reading)["id"] == "x"


def test_readers_who_share_a_subscription_get_each_reading_once(
    broker: Guarded, kitchen: User
) -> None:
    shared = "$share/archive/affectd/+/utterance"
    readers = [User(broker, "reader", shared) for _ in range(2)]
    for number in range(20):
        kitchen.publish("affectd/kitchen/utterance", str(number))
    wait_until(lambda: sum(len(r.heard) for r in readers) >= 20, "all readings arrive")
    parts = [[int(payload) for _, payload in r.heard] for r in readers]
    assert sorted(parts[0] + parts[1]) == list(range(20))
    assert all(parts)
    for r in readers:
        r.close()
