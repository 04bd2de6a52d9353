import json
from pathlib import Path
from typing import get_args

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon import schemas
from affectd.daemon.capture.source import State
from affectd.daemon.emotion.labels import EMOTIONS, UNKNOWN
from affectd.daemon.publish.messages import (
    HealthMessage,
    MoodMessage,
    Probabilities,
    UtteranceMessage,
    iso,
)
from tests.conftest import ROOT

shares = st.floats(0, 1)
probabilities = st.builds(Probabilities, *[shares] * 8)
times = st.floats(0, 4e9).map(iso)
texts = st.text(min_size=1)
emotions = st.sampled_from(EMOTIONS)
utterances = st.builds(
    UtteranceMessage,
    id=texts,
    node=texts,
    time=times,
    duration_s=st.floats(0.6, 3.0),
    emotion=st.sampled_from([*EMOTIONS, UNKNOWN]),
    confidence=shares,
    probabilities=probabilities,
    set=st.lists(emotions, min_size=1, unique=True),
    valence=st.floats(-1, 1),
    arousal=st.floats(-1, 1),
    level_dbfs=st.floats(-96, 0),
    snr_db=st.none() | st.floats(-100, 100),
    speech_ratio=shares,
    clipped=shares,
    flaws=st.lists(st.sampled_from(["noisy", "clipped"]), unique=True),
    speech_probability=shares,
    model=texts,
    voice_utterances=st.integers(0, 2**53),
    latency_ms=st.floats(0, 1e6),
)
moods = st.builds(
    MoodMessage,
    node=texts,
    mood=st.sampled_from([*EMOTIONS, "idle"]),
    since=times,
    confidence=shares,
    probabilities=probabilities,
    utterances=st.integers(0, 2**53),
)

healths = st.builds(
    HealthMessage,
    node=texts,
    listening=st.sampled_from(get_args(State)),
    reason=st.text(),
    device=st.text(),
    rate_hz=st.integers(0, 192_000),
    overflows=st.integers(0, 2**53),
    gaps=st.integers(0, 2**53),
    lost_s=st.floats(0, 1e9),
    drift_ppm=st.none() | st.floats(-1e6, 1e6),
    warning=st.text(),
    threshold=shares,
    classes=st.lists(emotions, min_size=1, unique=True),
    quiet_until=st.none() | times,
    diagnostics_until=st.none() | times,
    journal=st.integers(0, 2**53),
    expired=st.integers(0, 2**53),
    utterances=st.integers(0, 2**53),
    dropped=st.integers(0, 2**53),
    voice_utterances=st.integers(0, 2**53),
    inference_ms=st.none() | st.floats(0, 1e6),
    uptime_s=st.floats(0, 1e9),
    version=texts,
)


@given(utterances)
def test_every_reading_fits_its_schema(message: UtteranceMessage) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(message)), schemas.schema("utterance"))


@given(moods)
def test_every_mood_fits_its_schema(message: MoodMessage) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(message)), schemas.schema("mood"))


@given(healths)
def test_every_health_fits_its_schema(message: HealthMessage) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(message)), schemas.schema("health"))


@given(utterances)
def test_a_reading_survives_the_journey(message: UtteranceMessage) -> None:
    encoded = msgspec.json.encode(message)
    assert msgspec.json.decode(encoded, type=UtteranceMessage) == message


@pytest.mark.parametrize("name", schemas.TYPES)
def test_the_schemas_in_the_repository_are_those_of_the_code(name: str) -> None:
    path = ROOT / "config" / "schema" / f"{name}.schema.json"
    assert path.read_bytes() == schemas.encoded(name), "run `make schemas`"


@pytest.mark.parametrize("name", schemas.TYPES)
def test_a_schema_is_valid_itself(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.schema(name))


@pytest.mark.parametrize("message", [UtteranceMessage, MoodMessage, HealthMessage])
def test_no_payload_has_room_for_audio(message: type[msgspec.Struct]) -> None:
    """Beside the eight probabilities there are single numbers, short texts and emotions."""
    for field in msgspec.structs.fields(message):
        kind = msgspec.inspect.type_info(field.type)
        while isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        if isinstance(kind, msgspec.inspect.ListType):
            assert isinstance(kind.item_type, msgspec.inspect.LiteralType), field.name
        else:
            assert not isinstance(kind, BYTES_OR_ANY), field.name


BYTES_OR_ANY = (
    msgspec.inspect.BytesType,
    msgspec.inspect.ByteArrayType,
    msgspec.inspect.MemoryViewType,
    msgspec.inspect.AnyType,
    msgspec.inspect.DictType,
)


def test_probabilities_have_the_emotions_in_their_order() -> None:
    assert Probabilities.__struct_fields__ == EMOTIONS


def test_time_is_utc_with_milliseconds() -> None:
    assert iso(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"


def test_the_default_configuration_fits_its_schema() -> None:
    import yaml

    content = yaml.safe_load(Path(ROOT / "config" / "affectd.yaml").read_text())
    jsonschema.validate(content, schemas.schema("affectd"))
