import gc
import socket
import subprocess
import warnings

import pytest

from affectd.daemon.control import Control
from affectd.daemon.errors import BrokerError
from affectd.daemon.publish.broker import EmbeddedBroker
from affectd.daemon.publish.mqtt import MqttPublisher
from tests.conftest import Listener, wait_until
from tests.publish.samples import utterance


def test_the_embedded_broker_carries_messages_to_subscribers() -> None:
    with EmbeddedBroker(0) as broker:
        listener = Listener(broker.port)
        publisher = MqttPublisher(broker.settings, "kitchen", None)
        publisher.start()
        assert publisher.wait_until_connected(10)
        publisher.utterance(utterance())
        wait_until(lambda: listener.on("affectd/kitchen/utterance"), "the reading arrives")
        publisher.stop()
        listener.close()


def test_the_embedded_broker_listens_on_loopback_alone() -> None:
    with EmbeddedBroker(0) as broker, socket.socket() as probe:
        probe.bind(("127.0.0.2", broker.port))  # taken if it listened everywhere


def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    with (
        EmbeddedBroker(0) as broker,
        pytest.raises(BrokerError, match="cannot listen"),
    ):
        EmbeddedBroker(broker.port).__enter__()


def test_the_port_is_free_again_after_the_broker_has_stopped() -> None:
    with EmbeddedBroker(0) as broker:
        port = broker.port
    with EmbeddedBroker(port):
        pass


def test_a_pause_by_a_client_that_leaves_at_once_arrives_beside_a_subscriber_to_all() -> None:
    heard: list[bool] = []
    with EmbeddedBroker(0) as broker:
        control = Control(listen=heard.append)
        publisher = MqttPublisher(broker.settings, "kitchen", None, control=control)
        publisher.start()
        assert publisher.wait_until_connected(10)
        publisher.speech(False)
        listener = Listener(broker.port)
        wait_until(lambda: listener.on("affectd/kitchen/speech"), "what is retained arrives")
        for payload in ("OFF", "ON", "OFF", "ON"):
            command = ["mosquitto_pub", "-p", str(broker.port), "-m", payload]
            subprocess.run([*command, "-t", "affectd/kitchen/listening/set"], check=True)
        wait_until(lambda: heard == [False, True, False, True], "each is obeyed, in order")
        publisher.stop()
        listener.close()
    with warnings.catch_warnings():
        # amqtt leaves it to the garbage collector to close what a client has left early.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
