"""The entities in a real Home Assistant, with a real broker, microphone and affectd."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd import __version__
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish import home_assistant
from affectd.daemon.publish.entities import ENTITIES
from tests.conftest import run_affectd, wait_until
from tests.home_assistant.conftest import NODE, PATIENCE_S, House

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

VALIDATE = Path(__file__).with_name("validate.py")
# What tests do makes Home Assistant say: the broker went away; a device became single entities.
PROVOKED = ("[paho.mqtt.client]", "connection was lost", "No device components to cleanup")
# The two names of one key: each version knows its own.
NOT_KNOWN = {"2026.11.0": {"object_id"}, "2024.11.3": {"default_entity_id"}}


def entity(key: str) -> str:
    (found,) = [e for e in ENTITIES if e.key == key]
    return f"{found.platform}.affectd_{NODE}_{key}"


def test_home_assistants_own_schemas_take_every_entity(house: House) -> None:
    prefix = "homeassistant"
    payloads = home_assistant.entity_payloads(NODE, "affectd", __version__, prefix)
    if house.form == "device":
        topic = home_assistant.device_topic(NODE, prefix)
        payloads[topic] = home_assistant.device_payload(NODE, "affectd", __version__)
    (house.home.folder / "payloads.json").write_text(json.dumps(payloads))
    (house.home.folder / "validate.py").write_text(VALIDATE.read_text())
    found = house.home.run("python", "/config/validate.py", "/config/payloads.json").splitlines()
    unknown = {line.rpartition("it does not know ")[2] for line in found}
    assert unknown == NOT_KNOWN[house.home.version]


def test_every_entity_is_there_under_its_id(house: House) -> None:
    assert set(house.home.states(NODE)) == {entity(e.key) for e in ENTITIES}


def test_states_tell_what_affectd_has_told(house: House) -> None:
    health = house.health()
    assert house.home.state(entity("listening")) == "on"
    assert house.home.state(entity("microphone_problem")) == "off"
    assert house.home.state(entity("version")) == __version__
    assert house.home.state(entity("microphone")) == health["device"]
    assert float(house.home.state(entity("threshold"))) == pytest.approx(health["threshold"])
    assert house.home.state(entity("mood")) in {*EMOTIONS, "idle"}
    assert house.home.state(entity("journal")) == "0"


def test_attributes_are_those_that_home_assistant_understands(house: House) -> None:
    of = house.home.attributes
    assert of(entity("mood"))["options"] == [*EMOTIONS, "idle"]
    assert of(entity("mood"))["device_class"] == "enum"
    assert of(entity("confidence"))["unit_of_measurement"] == "%"
    assert of(entity("valence"))["state_class"] == "measurement"
    assert of(entity("dropped"))["state_class"] == "total_increasing"
    assert of(entity("latency"))["device_class"] == "duration"
    assert of(entity("speech"))["device_class"] == "sound"
    assert of(entity("microphone_problem"))["device_class"] == "problem"
    assert of(entity("utterance"))["event_types"] == [*EMOTIONS, "unknown"]
    assert of(entity("threshold"))["step"] == 0.01


def test_an_utterance_fires_the_event_and_is_the_last_emotion(
    house: House, angry: NDArray[np.int16]
) -> None:
    before, count = house.home.state(entity("utterance")), len(house.heard("utterance"))
    house.sound.play(angry)
    wait_until(lambda: house.home.state(entity("utterance")) != before, "the event is fired", 30)
    wait_until(lambda: len(house.heard("utterance")) > count, "the reading is heard")
    reading = json.loads(house.heard("utterance")[count])
    fired = house.home.attributes(entity("utterance"))
    assert fired["event_type"] == reading["emotion"]
    assert fired["id"] == reading["id"]
    assert fired["probabilities"] == reading["probabilities"]
    house.wait_for(entity("last_emotion"), reading["emotion"])
    last = house.home.attributes(entity("last_emotion"))
    assert last["valence"] == reading["valence"]
    mood = json.loads(house.heard("mood")[-1])
    house.wait_for(entity("mood"), mood["mood"])
    assert float(house.home.state(entity("confidence"))) == pytest.approx(
        100 * mood["confidence"], abs=0.06
    )
    assert -1 <= float(house.home.state(entity("arousal"))) <= 1
    assert float(house.home.state(entity("level"))) == pytest.approx(reading["level_dbfs"])


def test_the_switch_closes_the_microphone_and_opens_it_again(house: House) -> None:
    house.home.call("switch.turn_off", entity("listening"))
    house.wait_for(entity("listening"), "off")
    wait_until(lambda: house.health()["listening"] == "paused", "health says so")
    assert house.sound.recordings() == ""
    assert house.is_well()
    house.home.call("switch.turn_on", entity("listening"))
    house.wait_for(entity("listening"), "on")
    wait_until(house.sound.recordings, "the microphone is open")
    wait_until(lambda: house.health()["listening"] == "listening", "health says so")


def test_the_number_sets_the_threshold(house: House) -> None:
    for value in (0.92, 0.41):
        house.home.call("number.set_value", entity("threshold"), value=value)
        wait_until(lambda value=value: house.health()["threshold"] == value, "it is in force")  # type: ignore[misc]
        house.wait_for(entity("threshold"), str(value))


def test_the_button_resets_the_voice(house: House, angry: NDArray[np.int16]) -> None:
    count = len(house.heard("utterance"))
    house.sound.play(angry)
    wait_until(lambda: len(house.heard("utterance")) > count, "the reading is heard", 30)
    house.home.call("button.press", entity("voice_reset"))
    wait_until(
        lambda: [
            result["ok"]
            for result in map(json.loads, house.heard("command/result"))
            if result["command"] == "voice-reset"
        ],
        "the command is answered",
    )
    wait_until(lambda: house.health()["voice_utterances"] == 0, "the voice is forgotten", 30)


def test_a_lost_microphone_is_told_and_only_what_needs_it_is_unavailable(house: House) -> None:
    house.sound.unplug()
    house.wait_for(entity("microphone_problem"), "on")
    hearing = {entity(e.key) for e in ENTITIES if e.hears}

    def unavailable() -> set[str]:
        return {i for i, s in house.home.states(NODE).items() if s["state"] == "unavailable"}

    wait_until(lambda: unavailable() == hearing, "what hears is unavailable, and nothing else")
    assert house.home.attributes(entity("microphone_problem"))["reason"]
    house.sound.plug()
    house.wait_for(entity("microphone_problem"), "off")
    house.wait_until_well()


def test_without_affectd_everything_is_unavailable(house: House) -> None:
    house.stop_affectd()
    wait_until(
        lambda: {s["state"] for s in house.home.states(NODE).values()} == {"unavailable"},
        "all is unavailable",
    )
    house.start_affectd()
    house.wait_until_well()


def test_nothing_is_unavailable_after_a_restart_of_home_assistant(house: House) -> None:
    before = set(house.home.states(NODE))
    house.home.stop()
    house.home.start()
    house.wait_until_well()
    assert set(house.home.states(NODE)) == before


@pytest.mark.parametrize("forgets", [False, True], ids=["that-keeps", "that-forgets"])
def test_nothing_is_unavailable_after_a_restart_of_the_broker(house: House, forgets: bool) -> None:
    before = set(house.home.states(NODE))
    house.restart_broker(forgets)
    wait_until(lambda: not house.is_well(), "Home Assistant notices")
    house.wait_until_well()
    house.home.stop()
    house.home.start()
    house.wait_until_well()
    assert set(house.home.states(NODE)) == before


def test_a_node_that_was_forgotten_is_known_again_when_home_assistant_starts(house: House) -> None:
    for topic in house.announced():
        house.publish(topic, "", retain=True)
    wait_until(lambda: not house.home.states(NODE), "Home Assistant has forgotten the node")
    house.home.stop()
    house.home.start()
    wait_until(lambda: house.home.states(NODE), "it knows the node again", PATIENCE_S)
    house.wait_until_well()
    assert len(house.home.states(NODE)) == len(ENTITIES)


def test_the_other_form_takes_the_entities_over(house: House) -> None:
    before = registry(house)
    for form in ({"device": "entities", "entities": "device"}[house.form], house.form):
        house.stop_affectd()
        house.start_affectd(home_assistant__discovery=form)
        wait_until(lambda form=form: house.announced() == topics_of(form), "it is announced", 30)  # type: ignore[misc]
        house.wait_until_well()
        assert set(house.home.states(NODE)) == {entity(e.key) for e in ENTITIES}
    after = registry(house)
    assert set(after) == set(before)
    if house.home.version == "2026.11.0":  # the older one makes them anew
        assert after == before


def test_what_is_removed_is_gone_from_home_assistant(house: House) -> None:
    house.stop_affectd()
    environment = {
        "AFFECTD_NODE": NODE,
        "AFFECTD_MQTT__PORT": str(house.broker.port),
        "AFFECTD_HOME_ASSISTANT__DISCOVERY": "off",
    }
    done = run_affectd("homeassistant", "remove", environment=os.environ | environment)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()[1::2]) == topics_of(house.form)
    wait_until(lambda: not house.home.states(NODE), "Home Assistant has forgotten the node")
    assert house.announced() == set()
    house.start_affectd()
    house.wait_until_well()


def test_home_assistant_has_nothing_to_say_against_the_node(house: House) -> None:
    house.home.stop()
    house.home.start()
    house.wait_until_well()
    told = [line for line in house.home.warnings() if not any(w in line for w in PROVOKED)]
    assert told == []


def topics_of(form: str) -> set[str]:
    """Where a node is announced in a form."""
    device, *entities = home_assistant.removal(NODE, "homeassistant")
    return {device} if form == "device" else set(entities)


def registry(house: House) -> dict[str, str]:
    """What Home Assistant calls each entity within: what people set hangs on that."""
    house.home.stop()  # it writes its registry down
    kept = json.loads((house.home.folder / ".storage" / "core.entity_registry").read_text())
    house.home.start()
    house.wait_until_well()
    return {
        entry["entity_id"]: entry["id"]
        for entry in kept["data"]["entities"]
        if entry["platform"] == "mqtt"
    }
