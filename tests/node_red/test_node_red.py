"""The example flow in the real Node-RED, against mosquitto. `make nodered` installs and runs it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.publish.messages import MoodMessage, iso
from tests.conftest import DEMO, ROOT, Mosquitto, Received, run_affectd, wait_until
from tests.examples.contract import EXAMPLES
from tests.publish.samples import mood

pytestmark = pytest.mark.slow

PROGRAM = ROOT / "build" / "node-red" / "node_modules" / ".bin" / "node-red"
ANGRY_MINUTES = 0.02
START_S = 60.0
SETTINGS = """\
module.exports = {
    httpAdminRoot: false,
    httpNodeRoot: false,
    uiHost: "127.0.0.1",
    uiPort: 0,
    flowFile: "flows.json",
    telemetry: { enabled: false },
};
"""


class House:
    """What a house with Node-RED says and hears on MQTT."""

    def __init__(self, port: int) -> None:
        self.messages: list[Received] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            Received(message.topic, bytes(message.payload), message.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def say(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        self.client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def on(self, topic: str) -> list[str]:
        return [message.payload.decode() for message in self.messages if message.topic == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def house(mosquitto: Mosquitto) -> Iterator[House]:
    house = House(mosquitto.port)
    yield house
    house.close()


@pytest.fixture
def node_red(mosquitto: Mosquitto, house: House, tmp_path: Path) -> Iterator[Path]:
    """Node-RED with the example flow, subscribed; what it says is in the file."""
    assert PROGRAM.exists(), f"{PROGRAM} is not there; install it with `make nodered`"
    folder, said = tmp_path / "node-red", tmp_path / "said"
    folder.mkdir()
    (folder / "settings.js").write_text(SETTINGS)
    (folder / "flows.json").write_bytes((EXAMPLES / "node-red" / "flows.json").read_bytes())
    environment = os.environ | {
        "AFFECTD_BROKER": "127.0.0.1",
        "AFFECTD_BROKER_PORT": str(mosquitto.port),
        "AFFECTD_ANGRY_MINUTES": str(ANGRY_MINUTES),
    }
    house.say("affectd/probe/mood", message("calm"), retain=True)
    with said.open("w") as out:
        process = subprocess.Popen(
            [PROGRAM, "--userDir", folder], env=environment, stdout=out, stderr=out
        )
    try:
        wait_until(
            lambda: process.poll() is not None or house.on("house/probe/mood"),
            "Node-RED has subscribed",
            START_S,
        )
        assert process.poll() is None, said.read_text()
        yield said
    finally:
        process.terminate()
        process.wait(20)


def message(name: str, since_s: float = 0.0) -> bytes:
    """A mood that begins so many seconds from now."""
    payload: MoodMessage = msgspec.structs.replace(mood(name), since=iso(time.time() + since_s))
    return msgspec.json.encode(payload)


def test_the_mood_of_a_real_run_comes_out_of_the_flow(
    node_red: Path, house: House, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    environment = os.environ | {
        "AFFECTD_NODE": "kitchen",
        "AFFECTD_MQTT__HOST": "127.0.0.1",
        "AFFECTD_MQTT__PORT": str(mosquitto.port),
        "AFFECTD_LOG__PATH": str(tmp_path / "readings.jsonl"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    done = run_affectd("run", "--input", DEMO, "--fast", environment=environment)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: house.on("affectd/kitchen/status")[-1:] == ["offline"], "the run has ended")
    moods = [json.loads(payload)["mood"] for payload in house.on("affectd/kitchen/mood")]
    assert len(moods) >= 5
    wait_until(lambda: len(house.on("house/kitchen/mood")) >= len(moods), "all moods come out")
    assert house.on("house/kitchen/mood") == moods
    assert "error" not in node_red.read_text().lower()


def test_a_room_that_stays_angry_is_told_once_after_the_time(node_red: Path, house: House) -> None:
    angry = message("angry")
    house.say("affectd/kitchen/mood", angry)
    assert house.on("house/kitchen/notice") == []
    house.say("affectd/kitchen/mood", angry)
    began = time.monotonic()
    wait_until(lambda: house.on("house/kitchen/notice"), "the notice comes")
    assert time.monotonic() - began > 30 * ANGRY_MINUTES
    house.say("affectd/kitchen/mood", angry)
    house.say("affectd/hall/mood", message("angry"))
    wait_until(lambda: house.on("house/hall/notice"), "the notice of a later spell comes")
    assert house.on("house/kitchen/notice") == [
        f"It has been angry in the kitchen for {ANGRY_MINUTES} minutes."
    ]


@pytest.mark.parametrize(
    ("name", "payload"),
    [("mood", message("calm")), ("status", b"offline")],
    ids=["calm", "offline"],
)
def test_anger_that_ends_before_the_time_is_not_told(
    name: str, payload: bytes, node_red: Path, house: House
) -> None:
    house.say("affectd/kitchen/mood", message("angry"))
    house.say(f"affectd/kitchen/{name}", payload)
    house.say("affectd/hall/mood", message("angry"))
    wait_until(lambda: house.on("house/hall/notice"), "the notice of a later spell comes")
    assert house.on("house/kitchen/notice") == []


def test_the_lights_soften_when_a_room_becomes_sad(node_red: Path, house: House) -> None:
    for name in ("calm", "sad", "sad", "angry"):
        house.say("affectd/kitchen/mood", message(name))
    wait_until(lambda: house.on("house/kitchen/mood")[-1:] == ["angry"], "all moods went through")
    house.say("affectd/hall/mood", message("sad"))
    wait_until(lambda: house.on("house/hall/light/set"), "another room's light softens")
    (light,) = house.on("house/kitchen/light/set")
    assert json.loads(light)["brightness"] < 255


def test_a_television_pauses_the_room_and_resumes_it(
    node_red: Path, house: House, mosquitto: Mosquitto
) -> None:
    command = "affectd/kitchen/listening/set"
    house.say("affectd/kitchen/listening", "ON", retain=True)
    house.say("house/kitchen/television", "ON", retain=True)
    wait_until(lambda: house.on(command) == ["OFF"], "the pause is sent")
    house.say("affectd/kitchen/listening", "OFF", retain=True)
    late = House(mosquitto.port)
    wait_until(lambda: late.on("affectd/kitchen/listening"), "retained states arrive")
    house.say("house/kitchen/television", "OFF", retain=True)
    wait_until(lambda: late.on(command), "the resumption is sent")
    late.close()
    assert late.on(command) == ["ON"]  # and so OFF was not retained
    assert house.on(command) == ["OFF", "ON"]


def test_a_room_that_someone_paused_stays_so_when_the_television_goes_off(
    node_red: Path, house: House
) -> None:
    house.say("affectd/kitchen/listening", "OFF")
    house.say("house/kitchen/television", "ON")
    house.say("house/kitchen/television", "OFF")
    house.say("affectd/hall/listening", "ON")
    house.say("house/hall/television", "ON")
    wait_until(lambda: house.on("affectd/hall/listening/set"), "another room is paused")
    assert house.on("affectd/kitchen/listening/set") == []
