"""Configuration file and environment become settings, or an error that names key and remedy."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import inspect

from affectd.daemon.errors import SettingsError
from affectd.daemon.settings import MoodSettings, Room, Section, Settings

ENVIRONMENT_PREFIX: Final = "AFFECTD_"


def find(environment: Mapping[str, str]) -> Path | None:
    """The user's configuration file, else the system's, else None; perhaps it cannot be read."""
    home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    for path in (Path(home, "affectd", "affectd.yaml"), Path("/etc/affectd/affectd.yaml")):
        try:
            if path.is_file():
                return path
        except PermissionError:
            return path
    return None


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read the configuration file, if any, and let the environment override it.

    Variables are named AFFECTD_ and the key's path in capitals, joined by two underscores:
    AFFECTD_MQTT__HOST; an empty one stands for null.
    Raises SettingsError naming source, key, value and what is allowed.
    """
    values = {} if path is None else _read(path)
    sources: dict[str, str] = {}  # key's path -> environment variable
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            kind = _known(keys, name)
            _put(values, keys, _converted(text, kind))
            sources[".".join(keys)] = name
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), values, sources, str(path))) from error
    _check_mood(settings.mood, path)
    _check_nodes(settings.nodes(), path)
    return settings


def _check_mood(mood: MoodSettings, path: Path | None) -> None:
    if mood.agree > mood.of:
        raise SettingsError(
            f"{path}: mood.agree is {mood.agree}, but only mood.of {mood.of} "
            "readings are looked at; set mood.agree to that or less"
        )


def _check_nodes(nodes: list[Settings], path: Path | None) -> None:
    """Refuse two nodes of one name, and two that hear the same."""
    for number, one in enumerate(nodes):
        for other in nodes[:number]:
            if one.node == other.node:
                raise SettingsError(
                    f"{path}: two nodes are called {one.node}; give each of node and rooms "
                    "a name of its own"
                )
            if one.audio == other.audio:
                raise SettingsError(
                    f"{path}: {other.node} and {one.node} would hear the same, device "
                    f"{one.audio.device or 'null'} and channel {one.audio.channel or 'null'}; "
                    "give each room a device of its own"
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # a 13th month is a ValueError
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold keys and values, not {type(values).__name__}")
    sections = {field.name for field in _fields(Settings) if _is_section(field.type)}
    # A section whose keys are all commented out is empty, not wrong.
    return {
        str(key): {} if value is None and key in sections else _named(value)
        for key, value in values.items()
    }


def _named(value: object) -> object:
    """The same with every key as text, so that a number in a key's place can be named."""
    if isinstance(value, list):
        return [_named(one) for one in value]
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _known(keys: list[str], name: str) -> Any:
    """The type of a key, by its path. Raises SettingsError, naming the variable, if unknown."""
    here: Any = Settings
    for depth, key in enumerate(keys):
        field = next((f for f in _fields(here) if f.name == key), None)
        if field is None:
            raise SettingsError(f"{name}: {_unknown(here, keys[: depth + 1])}")
        here = field.type
    if here == tuple[Room, ...]:
        raise SettingsError(f"{name} names a list; set rooms in the configuration file")
    if _is_section(here):
        raise SettingsError(
            f"{name} names a section; name one of its keys, such as "
            f"{name}__{_fields(here)[0].name.upper()}"
        )
    return here


def _converted(text: str, kind: Any) -> object:
    """The text of an environment variable as its key's type wants it: 1883, true, kitchen."""
    if text == "":
        return None
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return text  # refused with all others, by the same words


def _put(values: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            return  # the file has no section there, which is refused later
        values = inner
    values[keys[-1]] = value


def _explain(problem: str, values: dict[str, Any], sources: dict[str, str], file: str) -> str:
    """One sentence in place of msgspec's: source, key, value and what is allowed."""
    problem, _, at = problem.partition(" - at `$.")
    keys = at.rstrip("`").split(".") if at else []
    kind: Any = Settings
    value: Any = values
    for key in keys:
        name, _, index = key.rstrip("]").partition("[")
        kind = next(field.type for field in _fields(kind) if field.name == name)
        value = value[name]
        if index:  # of a room
            kind, value = Room, value[int(index)]
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{file}: {'.'.join(keys)} has no {missing[1]}; give it one"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        return f"{file}: {_unknown(kind, [*keys, unknown[1]])}"
    path = ".".join(keys)
    return f"{sources.get(path, file)}: {path} is {value!r}; it must be {_allowed(kind)}"


def _unknown(section: Any, keys: list[str]) -> str:
    known = [field.name for field in _fields(section)]
    near = difflib.get_close_matches(keys[-1], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'none'}"
    return f"{'.'.join(keys)} is not a known key; {hint}"


def _allowed(kind: Any) -> str:
    """A type and its bounds in words."""
    match inspect.type_info(kind):
        case inspect.UnionType(types):
            words = [_words(one) for one in types if not isinstance(one, inspect.NoneType)]
            return " or ".join([*words, "null"])
        case info:
            return _words(info)


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.IntType(ge=ge, le=le):
            return f"a whole number from {ge} to {le}"
        case inspect.FloatType(gt=gt, ge=ge, le=le):
            return f"a number {f'above {gt:g}' if ge is None else f'from {ge:g}'} to {le:g}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.StrType(pattern=str(pattern)):
            return f"text that matches {pattern}"
        case inspect.StrType():
            return "text that is not empty"
        case inspect.VarTupleType():
            return "a list of rooms, each with its node, device and channel"
        case _:
            return "a section with keys of its own"


def _fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind) if _is_section(kind) else ()


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
