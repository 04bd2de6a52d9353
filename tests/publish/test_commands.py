import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon import schemas
from affectd.daemon.errors import CommandError
from affectd.daemon.publish.commands import (
    COMMANDS,
    LARGEST,
    Classes,
    Command,
    Diagnostics,
    Quiet,
    Threshold,
    VoiceReset,
    caller,
    parse,
)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("threshold", '{"threshold": 0.5, "id": "a"}', Threshold(id="a", threshold=0.5)),
        ("threshold", '{"threshold": null}', Threshold(threshold=None)),
        ("classes", '{"classes": ["sad", "angry"]}', Classes(classes=["sad", "angry"])),
        ("voice-reset", "{}", VoiceReset()),
        ("voice-reset", "", VoiceReset()),
        ("diagnostics", '{"for_s": 60}', Diagnostics(for_s=60)),
        ("quiet", '{"for_s": 0}', Quiet(for_s=0)),
    ],
)
def test_a_command_is_what_its_topic_and_payload_say(
    name: str, payload: str, expected: Command
) -> None:
    assert parse(name, payload.encode(), False) == expected


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("threshold", b"{}", "missing required field `threshold`; see config/schema/command-thr"),
        ("threshold", b'{"threshold": 1.5}', r"<= 1.0 - at `\$.threshold`"),
        ("threshold", b'{"threshold": "0.5"}', r"got `str` - at `\$.threshold`"),
        ("threshold", b'{"threshold": 1e999}', "threshold|range"),
        ("threshold", b'{"threshold": NaN}', "malformed"),
        ("classes", b'{"classes": []}', r"length >= 1 - at `\$.classes`"),
        ("classes", b'{"classes": ["bored"]}', "Invalid enum value 'bored'"),
        ("quiet", b'{"for_s": -1}', r">= 0.0 - at `\$.for_s`"),
        ("quiet", b'{"for_s": 86401}', r"<= 86400.0 - at `\$.for_s`"),
        ("quiet", b'{"for": 1, "for_s": 1}', "unknown field `for`"),
        ("voice-reset", b'{"id": ""}', r"length >= 1 - at `\$.id`"),
        ("voice-reset", b"\xff\xfe", "malformed|Invalid"),
        ("voice-reset", b'{"id": ' + b"[" * 4000, "got `array`"),
        ("voice-reset", b" " * (LARGEST + 1), "it has 4097 bytes; a command has at most 4096"),
        ("reboot", b"{}", "there is no command 'reboot'; there are threshold, classes"),
        ("result", b"{}", "there is no command 'result'"),
    ],
)
def test_what_is_no_command_is_refused_by_a_reason(name: str, payload: bytes, problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        parse(name, payload, False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_retained_command_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="it is retained, so it may be old; send it without"):
        parse(name, b"{}", True)


def test_the_caller_is_known_even_of_a_wrong_command() -> None:
    assert caller(b'{"id": "x", "threshold": 7}') == "x"
    assert caller(b'{"id": 7}') is None
    assert caller(b'{"id": "' + b"x" * 65 + b'"}') is None
    assert caller(b"nonsense") is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "threshold", "classes", "for_s", "for"])


@given(
    name=st.sampled_from([*COMMANDS, "result", "", "a/b", "+"]),
    payload=st.binary(max_size=200)
    | st.dictionaries(NAMES, VALUES, max_size=4).map(lambda found: json.dumps(found).encode()),
    retained=st.booleans(),
)
def test_any_message_is_a_command_or_a_refusal(name: str, payload: bytes, retained: bool) -> None:
    found = caller(payload)
    assert found is None or 1 <= len(found) <= 64
    try:
        command = parse(name, payload, retained)
    except CommandError as error:
        assert str(error)
    else:
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(command))
        jsonschema.validate(told, schemas.schema(f"command-{name}"))
        assert not retained
