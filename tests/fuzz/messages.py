"""Whatever arrives at a node from the broker is obeyed, refused or left alone, never a crash.

`python -m tests.fuzz.messages [FOLDER] [options of libFuzzer]` (`make fuzz`): Atheris makes up messages
and keeps in the folder those that reach new code. It ends at the first that breaks a promise, and
writes it to a file; without a time limit (`-max_total_time=60`) it goes on for ever.
"""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["affectd"], enable_loader_override=False):
    import jsonschema
    import msgspec

    from affectd.daemon import schemas
    from affectd.daemon.control import Control
    from affectd.daemon.emotion.labels import EMOTIONS
    from affectd.daemon.errors import CommandError
    from affectd.daemon.publish.commands import COMMANDS, LARGEST, caller, parse
    from affectd.daemon.publish.connection import Received
    from affectd.daemon.publish.mqtt import MqttPublisher
    from affectd.daemon.settings import HomeAssistantSettings, Mqtt

NAMES = [*(f"command/{name}" for name in COMMANDS), "listening/set", "command/result"]
VALIDATORS = {
    name: jsonschema.Draft202012Validator(schemas.schema(f"command-{name}")) for name in COMMANDS
}
LONGEST_ANSWER = 1000  # characters of a reason, of which a part is quoted from the message

control = Control(listen=lambda may: None)
publisher = MqttPublisher(
    Mqtt(), "kitchen", None, control=control, home_assistant=HomeAssistantSettings()
)


def take(data: bytes) -> None:
    """Let a node receive a message that is made of the data."""
    provider = atheris.FuzzedDataProvider(data)
    choice = provider.ConsumeIntInRange(0, len(NAMES) + 1)
    is_retained = provider.ConsumeBool()
    if choice < len(NAMES):
        topic = f"affectd/kitchen/{NAMES[choice]}"
    else:
        topic = provider.ConsumeUnicodeNoSurrogates(40)
    payload = provider.ConsumeBytes(2 * LARGEST)
    check_command(topic.rpartition("command/")[2], payload, is_retained)
    publisher.received(Received(topic, payload, is_retained, payload[:8]))
    check_rules()


def check_command(name: str, payload: bytes, is_retained: bool) -> None:
    """A message is refused with a reason of a sensible length, or is what its schema describes."""
    found = caller(payload)
    if found is not None and not 1 <= len(found) <= 64:
        raise AssertionError(f"the id {found!r} is not bounded")
    try:
        command = parse(name, payload, is_retained)
    except CommandError as error:
        if not 0 < len(str(error)) < LONGEST_ANSWER:
            raise AssertionError(f"no good reason: {error}") from error
        return
    if is_retained or len(payload) > LARGEST:
        raise AssertionError("it is retained or too large, and yet obeyed")
    VALIDATORS[name].validate(msgspec.to_builtins(command))


def check_rules() -> None:
    """What is in force lies within its bounds, whatever was received."""
    rules = control.rules
    if rules.threshold is not None and not 0 <= rules.threshold <= 1:
        raise AssertionError(f"the threshold is {rules.threshold}")
    if not rules.classes or not set(rules.classes) <= set(EMOTIONS):
        raise AssertionError(f"the classes are {rules.classes}")
    if not (0 <= control.quiet_s <= 86_400 and 0 <= control.diagnoses_s <= 86_400):
        raise AssertionError("a span is not bounded")


if __name__ == "__main__":
    logging.disable()  # each refusal is told in a line
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()
