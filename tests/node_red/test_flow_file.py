"""The example flow as a file; that it works is shown by test_node_red.py (`make nodered`)."""

import json
import re
from typing import Any

import pytest

from tests.examples.contract import EXAMPLES, OBEYED, PUBLISHED, fields_of, topics_in

PATH = EXAMPLES / "node-red" / "flows.json"
TEXT = PATH.read_text()
NODES: list[dict[str, Any]] = json.loads(TEXT)
OF_THE_HOUSE = {
    "house/+/television",
    "house/+/mood",
    "house/+/notice",
    "house/+/light/set",
}
# What comes with Node-RED.
CORE = {
    "catch",
    "comment",
    "debug",
    "function",
    "mqtt in",
    "mqtt out",
    "mqtt-broker",
    "rbe",
    "switch",
    "tab",
    "trigger",
}


def of_type(name: str) -> list[dict[str, Any]]:
    return [node for node in NODES if node["type"] == name]


def test_ids_are_unique_and_every_wire_leads_to_a_node() -> None:
    ids = [node["id"] for node in NODES]
    assert len(set(ids)) == len(ids)
    wires = {to for node in NODES for output in node.get("wires", []) for to in output}
    assert wires
    assert wires <= set(ids)
    assert {node["z"] for node in NODES if "z" in node} == {tab["id"] for tab in of_type("tab")}


def test_what_follows_is_reached_from_what_is_heard() -> None:
    by_id = {node["id"]: node for node in NODES}
    reached = {node["id"] for node in NODES if node["type"] in {"mqtt in", "catch"}}
    while more := {w for i in reached for out in by_id[i]["wires"] for w in out} - reached:
        reached |= more
    assert {node["id"] for node in NODES if "wires" in node} - reached == {
        node["id"] for node in of_type("comment")
    }


def test_only_nodes_that_come_with_node_red_are_used() -> None:
    assert {node["type"] for node in NODES} <= CORE


def test_topics_are_those_of_the_contract_and_of_the_house() -> None:
    named = topics_in(TEXT, "affectd")
    assert {f"affectd/+/{name}" for name in ("mood", "utterance", "speech", "health")} <= named
    assert named <= PUBLISHED | OBEYED
    assert topics_in(TEXT, "house") == OF_THE_HOUSE
    subscribed = {node["topic"] for node in of_type("mqtt in")}
    assert subscribed <= PUBLISHED | {"house/+/television"}


def test_payloads_are_read_by_fields_that_they_have() -> None:
    read = set(re.findall(r"payload\.(\w+)", TEXT))
    assert read <= {*fields_of("mood"), *fields_of("utterance"), *fields_of("health")}


@pytest.mark.parametrize(
    "word", ["credentials", "password", "username", '"user"', "token", "_cred"]
)
def test_there_are_no_credentials(word: str) -> None:
    assert word not in TEXT.lower()


def test_the_broker_is_named_by_the_environment() -> None:
    (broker,), (tab,) = of_type("mqtt-broker"), of_type("tab")
    variables = {entry["name"]: entry["value"] for entry in tab["env"]}
    assert (broker["broker"], broker["port"]) == ("${BROKER}", "${BROKER_PORT}")
    assert "AFFECTD_BROKER" in variables["BROKER"]
    assert "AFFECTD_BROKER_PORT" in variables["BROKER_PORT"]


def test_a_command_is_never_retained() -> None:
    commands = [node for node in of_type("mqtt out") if node["name"].endswith("/set")]
    assert len(commands) == 2
    assert {node["retain"] for node in commands} == {"false"}
