"""The blueprints of config/examples/home-assistant in a real Home Assistant."""

import json
import shutil
from typing import Any

import pytest

from tests.conftest import ROOT, wait_until
from tests.home_assistant.conftest import NODE, House

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BLUEPRINTS = sorted((ROOT / "config" / "examples" / "home-assistant").glob("*.yaml"))
MOOD = f"sensor.affectd_{NODE}_mood"
LISTENING = f"switch.affectd_{NODE}_listening"
AUTOMATIONS = [
    {
        "alias": "soften",
        "use_blueprint": {
            "path": "affectd/soften_lights.yaml",
            "input": {"mood": MOOD, "lights": ["light.lit", "light.dark"], "transition": 0},
        },
    },
    {
        "alias": "tell",
        "use_blueprint": {
            "path": "affectd/tell_of_anger.yaml",
            "input": {
                "mood": MOOD,
                "duration": {"seconds": 1},
                "tell": [
                    {
                        "action": "mqtt.publish",
                        "data": {"topic": "affectd/test/notice", "payload": "{{ message }}"},
                    }
                ],
            },
        },
    },
    {
        "alias": "pause",
        "use_blueprint": {
            "path": "affectd/pause_for_television.yaml",
            "input": {
                "listening": LISTENING,
                "television": "input_boolean.television",
                "quiet": 1,
            },
        },
    },
]


@pytest.fixture(scope="module", autouse=True)
def automated(house: House) -> None:
    """The blueprints as automations, with two lamps of which one is lit."""
    folder = house.home.folder / "blueprints" / "automation" / "affectd"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in BLUEPRINTS:
        shutil.copy(path, folder)
    (house.home.folder / "automations.yaml").write_text(json.dumps(AUTOMATIONS))
    house.home.call("automation.reload")
    for name, state in (("lit", "ON"), ("dark", "OFF")):
        lamp = {
            "schema": "json",
            "name": name,
            "unique_id": name,
            "brightness": True,
            "supported_color_modes": ["color_temp"],
            "command_topic": f"affectd/test/{name}/set",
            "state_topic": f"affectd/test/{name}",
        }
        house.publish(f"homeassistant/light/test/{name}/config", json.dumps(lamp), retain=True)
        light = {"state": state, "brightness": 250, "color_mode": "color_temp", "color_temp": 200}
        house.publish(f"affectd/test/{name}", json.dumps(light), retain=True)
        house.wait_for(f"light.{name}", state.lower())
    for automation in AUTOMATIONS:
        house.wait_for(f"automation.{automation['alias']}", "on")


def feel(house: House, mood: str) -> None:
    """Let Home Assistant hear of a mood."""
    even = dict.fromkeys(
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised"), 0.125
    )
    message: dict[str, Any] = {
        "node": NODE,
        "mood": mood,
        "since": "2026-01-01T12:00:00.000Z",
        "confidence": 0.6,
        "probabilities": even,
        "utterances": 3,
    }
    house.publish(f"affectd/{NODE}/mood", json.dumps(message), retain=True)
    house.wait_for(MOOD, mood)


def received(house: House, topic: str) -> list[bytes]:
    house.heard("health")
    assert house.listener is not None
    return house.listener.on(f"affectd/test/{topic}")


def test_the_lamp_that_is_lit_is_softened_when_the_mood_turns_sad(house: House) -> None:
    feel(house, "calm")
    assert received(house, "lit/set") == []
    feel(house, "sad")
    wait_until(lambda: received(house, "lit/set"), "the lamp is told")
    (command,) = received(house, "lit/set")
    assert json.loads(command)["brightness"] == 102
    assert "color_temp" in json.loads(command)
    assert received(house, "dark/set") == []


def test_anger_that_lasts_is_told_once(house: House) -> None:
    feel(house, "angry")
    wait_until(lambda: received(house, "notice"), "it is told")
    feel(house, "angry")
    feel(house, "calm")
    (notice,) = received(house, "notice")
    assert b"affectd kitchen Mood has been angry since" in notice


def test_affectd_does_not_listen_while_the_television_plays(house: House) -> None:
    house.home.call("input_boolean.turn_on", "input_boolean.television")
    house.wait_for(LISTENING, "off")
    wait_until(lambda: house.health()["listening"] == "paused", "affectd is paused")
    assert house.sound.recordings() == ""
    house.home.call("input_boolean.turn_off", "input_boolean.television")
    house.wait_for(LISTENING, "on")
    wait_until(house.sound.recordings, "the microphone is open")


def test_who_has_paused_by_hand_keeps_the_last_word(house: House) -> None:
    house.home.call("switch.turn_off", LISTENING)
    house.wait_for(LISTENING, "off")
    ran = house.home.attributes("automation.pause")["last_triggered"]
    for word in ("on", "off"):
        house.home.call(f"input_boolean.turn_{word}", "input_boolean.television")
        house.wait_for("input_boolean.television", word)
    feel(house, "calm")  # a message that comes after
    assert house.home.attributes("automation.pause")["current"] == 0
    assert house.home.attributes("automation.pause")["last_triggered"] == ran
    assert house.home.state(LISTENING) == "off"
    house.home.call("switch.turn_on", LISTENING)
    house.wait_for(LISTENING, "on")
