"""The openHAB examples as files, by a strict reading of their syntax; openHAB itself is not run."""

import re
from dataclasses import dataclass

import pytest

from tests.examples.contract import EXAMPLES, OBEYED, PUBLISHED, fields_of

FOLDER = EXAMPLES / "openhab"
KITCHEN = "affectd/kitchen/"
# Channels of the MQTT binding, and the items that may be linked to them.
ITEM_OF = {"string": "String", "number": "Number", "switch": "Switch", "datetime": "DateTime"}
CHANNEL_KEYS = {
    "stateTopic",
    "commandTopic",
    "transformationPattern",
    "on",
    "off",
    "min",
    "max",
    "retained",
}
BRIDGE_KEYS = {"host", "port", "secure", "clientID", "qos"}
VALUE = r'(?:"[^"\\]*"|-?\d+(?:\.\d+)?|true|false)'
CONFIG = rf"\[ (?P<config>\w+={VALUE}(?:, \w+={VALUE})*) \]"
BRIDGE = re.compile(rf'Bridge mqtt:broker:(?P<id>\w+) "[^"]+" {CONFIG} \{{')
THING = re.compile(rf'Thing topic (?P<id>\w+) "[^"]+" {CONFIG} \{{')
CHANNEL = re.compile(rf'Type (?P<type>\w+) : (?P<id>\w+) "[^"]+" {CONFIG}')
ITEM = re.compile(
    r'(?P<type>\w+) (?P<name>[A-Za-z_]\w*) "[^"]+"(?: <\w+>)?(?: \((?P<group>\w+)\))?'
    r'(?: \{ channel="(?P<channel>[\w:]+)" \})?'
)


@dataclass(frozen=True)
class Part:
    """A bridge, a thing or a channel."""

    type: str
    uid: str
    config: dict[str, str]


def lines_of(name: str) -> list[str]:
    """The lines that are neither empty nor a comment."""
    text = (FOLDER / name).read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and line[:2] != "//"]


def config_of(found: re.Match[str]) -> dict[str, str]:
    pairs = re.findall(rf"(\w+)=({VALUE})", found["config"])
    assert len(dict(pairs)) == len(pairs), f"a key stands twice in {found['config']}"
    return {key: value.strip('"') for key, value in pairs}


def matched(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    found = pattern.fullmatch(line)
    assert found, f"not understood: {line}"
    return found


def things() -> tuple[Part, Part, list[Part]]:
    """One bridge that holds one thing, with its channels; nothing else may be there."""
    first, second, opening, *middle = lines_of("affectd.things")
    assert (opening, middle[-2:]) == ("Channels:", ["}", "}"])
    bridge, thing = matched(BRIDGE, first), matched(THING, second)
    uid = f"mqtt:topic:{bridge['id']}:{thing['id']}"
    found = [matched(CHANNEL, line) for line in middle[:-2]]
    channels = [Part(c["type"], f"{uid}:{c['id']}", config_of(c)) for c in found]
    return (
        Part("broker", f"mqtt:broker:{bridge['id']}", config_of(bridge)),
        Part("topic", uid, config_of(thing)),
        channels,
    )


def items() -> list[re.Match[str]]:
    return [matched(ITEM, line) for line in lines_of("affectd.items")]


BROKER, THE_THING, CHANNELS = things()


def test_the_bridge_holds_no_password() -> None:
    assert set(BROKER.config) == BRIDGE_KEYS


def test_the_thing_is_available_as_the_status_says() -> None:
    assert THE_THING.config == {
        "availabilityTopic": f"{KITCHEN}status",
        "payloadAvailable": "online",
        "payloadNotAvailable": "offline",
    }


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.uid.rpartition(":")[2])
def test_a_channel_reads_a_field_that_its_topic_has(channel: Part) -> None:
    assert channel.type in ITEM_OF
    assert set(channel.config) <= CHANNEL_KEYS
    topic = channel.config["stateTopic"]
    assert topic.replace("kitchen", "+") in PUBLISHED
    pattern = channel.config.get("transformationPattern")
    if channel.type == "switch":
        assert (pattern, channel.config["on"], channel.config["off"]) == (None, "ON", "OFF")
        assert topic in {f"{KITCHEN}speech", f"{KITCHEN}listening"}
        return
    assert pattern is not None
    path = re.fullmatch(r"JSONPATH:\$\.(\w+)", pattern)
    assert path, pattern
    field = fields_of(topic.rpartition("/")[2])[path[1]]
    if channel.type == "number":
        assert field["type"] == "number"
        assert [float(channel.config[key]) for key in ("min", "max")] == [
            field["minimum"],
            field["maximum"],
        ]


def test_only_listening_commands_and_its_command_is_not_retained() -> None:
    (listening,) = [channel for channel in CHANNELS if "commandTopic" in channel.config]
    assert listening.config["commandTopic"].replace("kitchen", "+") in OBEYED
    assert listening.config["commandTopic"] == listening.config["stateTopic"] + "/set"
    assert listening.config["retained"] == "false"


def test_each_channel_has_one_item_of_its_type() -> None:
    linked = {item["channel"]: item["type"] for item in items() if item["channel"]}
    assert linked == {channel.uid: ITEM_OF[channel.type] for channel in CHANNELS}
    names = [item["name"] for item in items()]
    assert len(set(names)) == len(names)


def test_groups_and_rules_name_items_that_there_are() -> None:
    by_name = {item["name"]: item["type"] for item in items()}
    groups = {item["group"] for item in items() if item["group"]}
    assert {name for name, type_ in by_name.items() if type_ == "Group"} == groups
    rules = "\n".join(lines_of("affectd.rules"))
    used = re.findall(r'Item (\w+) changed to "(\w+)"', rules)
    assert len(used) == rules.count("Item ") > 0
    for name, mood in used:
        assert name in by_name
        assert mood in fields_of("mood")["mood"]["anyOf"][0]["enum"]
    starts = [line.split()[0] for line in rules.splitlines()]
    assert [word for word in starts if word in {"rule", "when", "then", "end"}] == [
        "rule",
        "when",
        "then",
        "end",
    ]
