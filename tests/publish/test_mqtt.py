import gc
import json
import logging
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from affectd.daemon.errors import SettingsError
from affectd.daemon.publish import connection
from affectd.daemon.publish.connection import next_pause_s
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.mqtt import MqttPublisher
from affectd.daemon.settings import Mqtt
from tests.certificates import make_authority
from tests.conftest import Listener, Mosquitto, free_port, run_affectd, wait_until
from tests.publish.samples import mood, utterance

KITCHEN = "affectd/kitchen"


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[MqttPublisher]:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(10)
    yield publisher
    publisher.stop()


def test_a_reading_arrives_and_is_not_retained(
    publisher: MqttPublisher, listener: Listener
) -> None:
    publisher.utterance(utterance("x"))
    wait_until(lambda: listener.on(f"{KITCHEN}/utterance"), "the reading arrives")
    (payload,) = listener.on(f"{KITCHEN}/utterance")
    assert json.loads(payload)["id"] == "x"


def test_a_late_subscriber_finds_the_state_and_no_old_reading(
    publisher: MqttPublisher, mosquitto: Mosquitto, listener: Listener
) -> None:
    publisher.speech(True)
    publisher.mood(mood("sad"))
    publisher.utterance(utterance())
    wait_until(lambda: listener.on(f"{KITCHEN}/utterance"), "the reading arrives")
    late = Listener(mosquitto.port)
    wait_until(lambda: len(late.messages) >= 3, "three retained states arrive")
    state = {message.topic: message.payload for message in late.messages}
    assert state[f"{KITCHEN}/status"] == b"online"
    assert state[f"{KITCHEN}/speech"] == b"ON"
    assert json.loads(state[f"{KITCHEN}/mood"])["mood"] == "sad"
    assert f"{KITCHEN}/utterance" not in state
    assert all(message.retained for message in late.messages)
    late.close()


def test_a_clean_stop_says_offline_after_all_else(mosquitto: Mosquitto, listener: Listener) -> None:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(10)
    for number in range(50):
        publisher.utterance(utterance(str(number)))
    publisher.stop()
    wait_until(lambda: b"offline" in listener.on(f"{KITCHEN}/status"), "offline arrives")
    assert len(listener.on(f"{KITCHEN}/utterance")) == 50
    assert listener.messages[-1].payload == b"offline"


def test_the_last_will_says_offline_when_the_connection_breaks(
    mosquitto: Mosquitto, listener: Listener
) -> None:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(10)
    assert publisher._client is not None
    channel = publisher._client.socket()
    assert isinstance(channel, socket.socket)
    channel.shutdown(socket.SHUT_RDWR)  # as if the cable were cut
    wait_until(lambda: b"offline" in listener.on(f"{KITCHEN}/status"), "the last will arrives")
    publisher.stop()


def test_an_absent_broker_is_told_once_and_used_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker = Mosquitto(tmp_path)
    publisher = MqttPublisher(Mqtt(host="127.0.0.1", port=broker.port), "kitchen", None)
    publisher.mood(mood("calm"))
    publisher.start()
    wait_until(lambda: "cannot be reached" in caplog.text, "the absence is told")
    publisher.utterance(utterance())
    broker.start()
    assert publisher.wait_until_connected(20)
    listener = Listener(broker.port)
    wait_until(lambda: listener.on(f"{KITCHEN}/mood"), "the mood arrives")
    assert listener.on(f"{KITCHEN}/utterance") == []
    wait_until(lambda: "1 reading(s) made while it was away" in caplog.text, "it is told")
    assert caplog.text.count("cannot be reached: [Errno 111] Connection refused") == 1
    publisher.stop()
    listener.close()
    broker.stop()


def test_a_broker_that_goes_away_is_found_again_with_all_states(
    mosquitto: Mosquitto, publisher: MqttPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher.speech(False)
    publisher.mood(mood("happy"))
    mosquitto.stop()
    wait_until(lambda: "went away" in caplog.text, "the loss is told")
    mosquitto.start()
    wait_until(lambda: publisher.wait_until_connected(0.1), "it is connected again")
    listener = Listener(mosquitto.port)
    wait_until(lambda: len(listener.messages) >= 3, "all states are there again")
    assert {message.topic for message in listener.messages} == {
        f"{KITCHEN}/{name}" for name in ("status", "mood", "speech")
    }
    listener.close()


def test_what_a_frozen_broker_did_not_take_is_never_repeated(
    mosquitto: Mosquitto, publisher: MqttPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    assert mosquitto.process is not None
    mosquitto.process.send_signal(signal.SIGSTOP)
    publisher.speech(True)
    publisher.mood(mood("angry"))
    publisher.utterance(utterance("old"))
    mosquitto.stop()
    wait_until(lambda: "went away" in caplog.text, "the loss is told")
    publisher.speech(False)
    publisher.mood(mood("sad"))
    mosquitto.start()
    listener = Listener(mosquitto.port)
    wait_until(lambda: publisher.wait_until_connected(0.1), "it is connected again")
    publisher.utterance(utterance("new"))
    wait_until(lambda: listener.on(f"{KITCHEN}/utterance"), "the new reading arrives")
    assert [json.loads(p)["id"] for p in listener.on(f"{KITCHEN}/utterance")] == ["new"]
    assert listener.on(f"{KITCHEN}/speech") == [b"OFF"]
    assert [json.loads(p)["mood"] for p in listener.on(f"{KITCHEN}/mood")] == ["sad"]
    assert "1 reading(s) made while it was away" in caplog.text
    listener.close()


def test_a_state_that_changes_during_the_connection_is_not_lost(mosquitto: Mosquitto) -> None:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    speaking = False
    publisher.speech(speaking)
    publisher.start()
    while not publisher.wait_until_connected(0.0005):
        speaking = not speaking
        publisher.speech(speaking)
    late = Listener(mosquitto.port)
    expected = b"ON" if speaking else b"OFF"
    wait_until(lambda: late.on(f"{KITCHEN}/speech")[-1:] == [expected], "the newest state is there")
    late.close()
    publisher.stop()


@pytest.mark.parametrize("wait_s", [0.0, 0.0005, 0.001, 0.002, 0.005])
def test_a_stop_during_the_connection_leaves_nobody_online(
    wait_s: float, mosquitto: Mosquitto
) -> None:
    publisher = MqttPublisher(Mqtt(port=mosquitto.port), "kitchen", None)
    publisher.start()
    publisher.wait_until_connected(wait_s)
    publisher.stop()
    late = Listener(mosquitto.port)
    late.client.publish("affectd/marker", b"after all that is retained", 1)
    wait_until(lambda: late.on("affectd/marker"), "the marker arrives")
    assert late.on(f"{KITCHEN}/status")[-1:] != [b"online"]
    late.close()


def test_pauses_between_attempts_double_up_to_a_minute_and_begin_anew() -> None:
    pauses = [next_pause_s(0, 0)]
    while len(pauses) < 9:
        pauses.append(next_pause_s(pauses[-1], lasted_s=0.1))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert next_pause_s(60, lasted_s=31) == 1


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that wants the user anna with the password secret."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "anna", "secret"], check=True)
    broker = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    yield broker
    broker.stop()


def test_user_and_password_open_a_guarded_broker(guarded: Mosquitto) -> None:
    publisher = MqttPublisher(Mqtt(port=guarded.port, username="anna"), "kitchen", "secret")
    publisher.start()
    assert publisher.wait_until_connected(10)
    publisher.stop()


def test_a_refused_password_is_told_without_printing_it(
    guarded: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = MqttPublisher(Mqtt(port=guarded.port, username="anna"), "kitchen", "wrong-one")
    publisher.start()
    wait_until(lambda: "refused the connection: Not authorized" in caplog.text, "it is told")
    assert "check mqtt.username and mqtt.password_file" in caplog.text
    assert "wrong-one" not in caplog.text
    publisher.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def encrypted(tmp_path: Path, authority: Path) -> Iterator[Mosquitto]:
    files = f"certfile {authority}/server.crt\nkeyfile {authority}/server.key"
    broker = Mosquitto(tmp_path, f"allow_anonymous true\n{files}")
    broker.start()
    yield broker
    broker.stop()


def test_tls_with_the_right_authority_connects(encrypted: Mosquitto, authority: Path) -> None:
    settings = Mqtt(port=encrypted.port, tls=True, ca_file=str(authority / "ca.crt"))
    publisher = MqttPublisher(settings, "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(10)
    publisher.stop()


def test_a_client_certificate_opens_a_broker_that_wants_one(
    authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = f"cafile {authority}/ca.crt\ncertfile {authority}/server.crt\n"
    files += f"keyfile {authority}/server.key\nrequire_certificate true"
    broker = Mosquitto(tmp_path, f"{files}\nuse_identity_as_username true")
    broker.start()
    settings = Mqtt(port=broker.port, tls=True, ca_file=str(authority / "ca.crt"))
    with_certificate = msgspec.structs.replace(
        settings, cert_file=str(authority / "client.crt"), key_file=str(authority / "client.key")
    )
    publisher = MqttPublisher(with_certificate, "kitchen", None)
    publisher.start()
    assert publisher.wait_until_connected(10)
    publisher.stop()
    without = MqttPublisher(settings, "kitchen", None)
    without.start()
    wait_until(lambda: "connecting is tried again" in caplog.text, "the refusal is told")
    assert not without.wait_until_connected(0)
    without.stop()
    broker.stop()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_refuses_a_broker_whose_certificate_nobody_signed(
    encrypted: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = MqttPublisher(Mqtt(port=encrypted.port, tls=True), "kitchen", None)
    publisher.start()
    wait_until(lambda: "certificate verify failed" in caplog.text, "the refusal is told")
    assert "check mqtt.tls and mqtt.ca_file" in caplog.text
    publisher.stop()
    gc.collect()


def test_a_broker_that_wants_tls_is_told_apart_from_an_absent_one(
    encrypted: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = MqttPublisher(Mqtt(port=encrypted.port), "kitchen", None)
    publisher.start()
    wait_until(lambda: "whether it wants mqtt.tls" in caplog.text, "it is told")
    publisher.stop()


def test_a_port_that_never_answers_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        publisher = MqttPublisher(Mqtt(host="127.0.0.1", port=port), "kitchen", None)
        publisher.start()
        wait_until(lambda: "does not answer as an MQTT broker" in caplog.text, "it is told")
        publisher.stop()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            Mqtt(tls=True, ca_file="/nowhere/ca.crt"),
            "mqtt.ca_file is /nowhere/ca.crt, which",
        ),
        (Mqtt(ca_file="/nowhere/ca.crt"), "mqtt.ca_file is set, but mqtt.tls is false"),
        (Mqtt(cert_file="/nowhere/a.crt"), "mqtt.cert_file is set, but mqtt.tls is false"),
        (
            Mqtt(tls=True, cert_file="/nowhere/a.crt"),
            "only one of mqtt.cert_file and mqtt.key_file",
        ),
        (
            Mqtt(tls=True, cert_file="/nowhere/a.crt", key_file="/nowhere/a.key"),
            "mqtt.cert_file /nowhere/a.crt and mqtt.key_file /nowhere/a.key cannot be used",
        ),
        (Mqtt(host="mqtt://broker.lan"), "mqtt.host is 'mqtt://broker.lan', which is more than a"),
        (Mqtt(host="broker.lan:1883"), "give a name or an address alone, such as broker.lan"),
        (Mqtt(host="bad..host"), "mqtt.host is 'bad..host', which is no host name"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Mqtt, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        MqttPublisher(settings, "kitchen", None)


def test_an_unreachable_broker_does_not_keep_a_recording_from_its_end(tmp_path: Path) -> None:
    from tests.conftest import DEMO

    environment = {
        "AFFECTD_MQTT__HOST": "127.0.0.1",
        "AFFECTD_MQTT__PORT": str(free_port()),
        "AFFECTD_LOG__PATH": str(tmp_path / "readings.jsonl"),
        "HOME": str(tmp_path),
    }
    done = run_affectd("run", "--input", DEMO, "--fast", environment=environment)
    assert done.returncode == 0
    assert "cannot be reached" in done.stderr
    assert (tmp_path / "readings.jsonl").read_text().count('"event":"utterance"') >= 5


def test_both_versions_of_the_protocol_and_websockets_carry_a_reading(tmp_path: Path) -> None:
    port = free_port()
    web = f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets"
    broker = Mosquitto(tmp_path, web)
    broker.start()
    listener = Listener(broker.port)
    for number, settings in enumerate(
        (
            Mqtt(port=broker.port, version=5),
            Mqtt(port=broker.port, version="3.1.1"),
            Mqtt(host="127.0.0.1", port=port, transport="websockets"),
        )
    ):
        publisher = MqttPublisher(settings, "kitchen", None)
        publisher.start()
        assert publisher.wait_until_connected(10), settings
        publisher.utterance(utterance(str(number)))
        publisher.stop()
    wait_until(lambda: len(listener.on(f"{KITCHEN}/utterance")) == 3, "all three arrive")
    listener.close()
    broker.stop()


def test_root_and_client_id_are_as_configured(mosquitto: Mosquitto, tmp_path: Path) -> None:
    heard: list[str] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(message.topic)
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe("house/#", 1)
    client.loop_start()
    settings = Mqtt(port=mosquitto.port, root="house/moods", client_id="ear-1")
    publisher = MqttPublisher(settings, "kitchen", None)
    publisher.start()
    wait_until(lambda: "house/moods/kitchen/status" in heard, "the status arrives")
    assert publisher._client is not None
    assert publisher._client._client_id == b"ear-1"
    publisher.stop()
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker in which the node may say what it hears, but nobody may read its commands."""
    rules = tmp_path / "acl"
    rules.write_text(
        "topic write affectd/kitchen/status\ntopic write affectd/kitchen/mood\n"
        "topic read affectd/kitchen/listening/set\n"
    )
    rules.chmod(0o600)
    broker = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {rules}")
    broker.start()
    yield broker
    broker.stop()


def test_what_an_access_list_refuses_is_told_once_with_its_topic(
    strict: Mosquitto, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 1000, 1)
    publisher = MqttPublisher(Mqtt(port=strict.port), "kitchen", None, journal)
    publisher.start()
    assert publisher.wait_until_connected(10)
    for number in range(3):
        publisher.utterance(utterance(str(number)))
        publisher.mood(mood())
    refusal = "does not let the client affectd-kitchen publish on affectd/kitchen/utterance"
    wait_until(lambda: refusal in caplog.text, "the refusal is told")
    publisher.stop()
    assert caplog.text.count(refusal) == 1
    assert "(Not authorized); allow it in its access list" in caplog.text
    assert "kitchen/mood" not in caplog.text
    assert journal.count_pending("kitchen") == 3
    journal.close()


def test_a_subscription_that_is_refused_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    publisher = MqttPublisher(Mqtt(username="anna"), "kitchen", None)
    refused = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in (1, 135)]
    for _ in range(2):
        publisher._connection._on_subscribe(None, None, 1, refused, None)
    told = "does not let anna subscribe affectd/kitchen/command/+ (Not authorized)"
    assert caplog.text.count(told) == 1
    assert "listening/set" not in caplog.text
