"""What a node can be told on command/<name>, described by the JSON Schemas in config/schema/."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from affectd.daemon.emotion.labels import Emotion
from affectd.daemon.errors import CommandError
from affectd.daemon.publish.messages import Share

LARGEST: Final = 4096  # bytes of a payload

Span = Annotated[float, Meta(ge=0, le=86_400, description="seconds from now; 0 ends it")]


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something to do; the id comes back in the answer on command/result."""

    id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(description="comes back in the answer"),
    ] = None


class Threshold(Command, frozen=True):
    """Below which confidence a reading is `unknown`, until the next start."""

    threshold: Annotated[Share | None, Meta(description="null: that of configuration or bundle")]


class Classes(Command, frozen=True):
    """Which emotions may be read, until the next start."""

    classes: Annotated[
        Annotated[list[Emotion], Meta(min_length=1, max_length=8)] | None,
        Meta(description="null: all"),
    ]


class VoiceReset(Command, frozen=True):
    """Forget what was learnt of the speech here."""


class Diagnostics(Command, frozen=True):
    """Tell on `diagnostics` of each utterance, kept or not, for a while."""

    for_s: Span


class Quiet(Command, frozen=True):
    """Withhold readings for a while."""

    for_s: Span


COMMANDS: Final[dict[str, type[Command]]] = {
    "threshold": Threshold,
    "classes": Classes,
    "voice-reset": VoiceReset,
    "diagnostics": Diagnostics,
    "quiet": Quiet,
}


def parse(name: str, payload: bytes, retained: bool) -> Command:
    """The command that a message on command/<name> is. Raises CommandError if it is none.

    An empty payload is {}. A retained message is refused: it may be years old.
    """
    if retained:
        raise CommandError("it is retained, so it may be old; send it without the retain flag")
    if name not in COMMANDS:
        raise CommandError(f"there is no command {name[:64]!r}; there are {', '.join(COMMANDS)}")
    if len(payload) > LARGEST:
        raise CommandError(f"it has {len(payload)} bytes; a command has at most {LARGEST}")
    try:
        return msgspec.json.decode(payload or b"{}", type=COMMANDS[name])
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or not what is expected
        raise CommandError(f"{error}; see config/schema/command-{name}.schema.json") from error


def caller(payload: bytes) -> str | None:
    """The id in a payload, be it a valid command or not; None if there is none."""
    try:
        return msgspec.json.decode(payload[: LARGEST + 1], type=_Caller).id
    except (ValueError, RecursionError):
        return None


class _Caller(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
