"""Every key of the configuration, its default and its bounds; documented in config/affectd.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from affectd.daemon.emotion.monitor import MonitorSpec
from affectd.daemon.emotion.mood import MoodSpec
from affectd.daemon.errors import SettingsError
from affectd.daemon.speech.level import QualitySpec
from affectd.daemon.speech.presence import PresenceSpec
from affectd.daemon.speech.vad import DEFAULT_MODE

CREDENTIAL: Final = "mqtt_password"  # name of the systemd credential

NonEmpty = Annotated[str, Meta(min_length=1)]
NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Share = Annotated[float, Meta(ge=0, le=1)]

# Levels of an MQTT topic, without wildcards.
Topic = Annotated[str, Meta(pattern=r"^[^+#/\s]+(/[^+#/\s]+)*$", max_length=128)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of keys; unknown ones are refused."""


class Audio(Section, frozen=True):
    """Where samples come from."""

    device: NonEmpty | None = None
    channel: Annotated[int, Meta(ge=1, le=64)] | None = None


class Room(Audio, frozen=True, kw_only=True):
    """Another node in the same process, with a microphone of its own."""

    node: NodeName


class Speech(Section, frozen=True):
    """How speech is found."""

    vad_mode: Annotated[int, Meta(ge=0, le=3)] = DEFAULT_MODE
    on_delay_s: Annotated[float, Meta(ge=0, le=60)] = PresenceSpec().on_delay_s
    off_delay_s: Annotated[float, Meta(ge=0, le=3600)] = PresenceSpec().off_delay_s


class QualitySettings(Section, frozen=True):
    """Which utterances are marked as noisy or clipped, and what becomes of them."""

    least_snr_db: Annotated[float, Meta(ge=-100, le=100)] = QualitySpec().least_snr_db
    most_clipped: Share = QualitySpec().most_clipped
    drop: bool = QualitySpec().drop


class EmotionSettings(Section, frozen=True):
    """How speech is read."""

    bundle: NonEmpty | None = None
    networks: Literal["cnn", "lstm", "cnn+lstm"] = "cnn+lstm"
    threshold: Share | None = None
    adapt: bool = True
    voice_folder: NonEmpty | None = None
    voice_half_life_days: Annotated[float, Meta(gt=0, le=3650)] = 7.0


class MoodSettings(Section, frozen=True):
    """How readings become a mood."""

    half_life_s: Annotated[float, Meta(gt=0, le=86_400)] = MoodSpec().half_life_s
    agree: Annotated[int, Meta(ge=1, le=100)] = MoodSpec().agree
    of: Annotated[int, Meta(ge=1, le=100)] = MoodSpec().of
    margin: Share = MoodSpec().margin
    idle_after_s: Annotated[float, Meta(gt=0, le=86_400)] = MoodSpec().idle_after_s


class MonitorSettings(Section, frozen=True):
    """When readings that are all alike are reported in health."""

    over_s: Annotated[float, Meta(ge=0, le=86_400)] = MonitorSpec().over_s
    share: Annotated[float, Meta(gt=0.5, le=1)] = MonitorSpec().share
    readings: Annotated[int, Meta(ge=2, le=10_000)] = MonitorSpec().readings


class Mqtt(Section, frozen=True):
    """Where readings are published."""

    host: NonEmpty = "localhost"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    version: Literal[5, "3.1.1"] = 5
    transport: Literal["tcp", "websockets"] = "tcp"
    path: Annotated[str, Meta(pattern="^/")] = "/mqtt"
    root: Topic = "affectd"
    client_id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_.-]{1,128}$")] | None = None
    username: NonEmpty | None = None
    password_file: NonEmpty | None = None
    tls: bool = False
    ca_file: NonEmpty | None = None
    cert_file: NonEmpty | None = None
    key_file: NonEmpty | None = None
    history_per_s: Annotated[float, Meta(gt=0, le=1000)] = 20.0

    def of_room(self, node: str) -> "Mqtt":
        """The same for another node, whose connection is known by another name."""
        client_id = self.client_id and f"{self.client_id}-{node}"
        return msgspec.structs.replace(self, client_id=client_id)


class HomeAssistantSettings(Section, frozen=True):
    """How Home Assistant is told of this node."""

    discovery: Literal["device", "entities", "off"] = "device"
    prefix: Annotated[str, Meta(pattern=r"^[^+#/\s]+(/[^+#/\s]+)*$", max_length=128)] = (
        "homeassistant"
    )


class JournalSettings(Section, frozen=True):
    """What is kept of readings, for a broker that was away and for reports."""

    path: NonEmpty | None = None
    rows: Annotated[int, Meta(ge=100, le=10_000_000)] = 200_000
    days: Annotated[float, Meta(gt=0, le=36_500)] = 90.0


class Log(Section, frozen=True):
    """What is written down."""

    path: NonEmpty | None = None
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section, frozen=True):
    """The whole configuration."""

    node: NodeName = "home"
    audio: Audio = Audio()
    rooms: tuple[Room, ...] = ()
    speech: Speech = Speech()
    emotion: EmotionSettings = EmotionSettings()
    quality: QualitySettings = QualitySettings()
    mood: MoodSettings = MoodSettings()
    monitor: MonitorSettings = MonitorSettings()
    mqtt: Mqtt = Mqtt()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    journal: JournalSettings = JournalSettings()
    log: Log = Log()

    def nodes(self) -> "list[Settings]":
        """The settings of each node of this process, as if it were the only one."""
        return [msgspec.structs.replace(self, rooms=())] + [
            msgspec.structs.replace(
                self,
                node=room.node,
                audio=Audio(room.device, room.channel),
                rooms=(),
                mqtt=self.mqtt.of_room(room.node),
            )
            for room in self.rooms
        ]


def password(settings: Mqtt, environment: Mapping[str, str]) -> str | None:
    """The broker's password: from mqtt.password_file, else from systemd's credential, else None.

    A credential that is blank is none: the unit has such a one where there is no file for it.
    Raises SettingsError if the file cannot be read or is empty, or there is no user name.
    """
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / CREDENTIAL
    if settings.password_file is None and _is_blank(credential):
        return None
    path = credential if settings.password_file is None else user_path(settings.password_file)
    if settings.username is None:
        raise SettingsError(f"a password is in {path}, but mqtt.username is not set; set it")
    try:
        text = path.read_text().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"mqtt.password_file is {path}, which cannot be read ({error}); "
            "put the password there and make it readable for this user"
        ) from error
    if not text:
        raise SettingsError(f"mqtt.password_file is {path}, which is empty; put the password there")
    return text


def _is_blank(path: Path) -> bool:
    try:
        return not path.read_bytes().strip()
    except FileNotFoundError:
        return True
    except OSError:  # who reads it says why
        return False


def log_path(settings: Log, environment: Mapping[str, str]) -> Path:
    """Where the log of readings is: log.path, else systemd's folder for logs, else the user's."""
    if settings.path is not None:
        return user_path(settings.path)
    return _folder("LOGS_DIRECTORY", environment) / "readings.jsonl"


def journal_path(settings: JournalSettings, environment: Mapping[str, str]) -> Path:
    """Where the journal is: journal.path, else systemd's folder for states, else the user's."""
    if settings.path is not None:
        return user_path(settings.path)
    return _folder("STATE_DIRECTORY", environment) / "journal.sqlite"


def voice_path(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Where a node's voice is: emotion.voice_folder, else systemd's for states, else the user's."""
    name = f"voice-{settings.node}.json"
    if settings.emotion.voice_folder is not None:
        return user_path(settings.emotion.voice_folder) / name
    return _folder("STATE_DIRECTORY", environment) / name


def pause_path(settings: Settings, environment: Mapping[str, str]) -> Path:
    """What is there while a node is paused: in systemd's folder for states, else the user's."""
    return _folder("STATE_DIRECTORY", environment) / f"paused-{settings.node}"


def _folder(variable: str, environment: Mapping[str, str]) -> Path:
    """The folder that systemd names in a variable, else the user's for states."""
    if directory := environment.get(variable):
        return Path(directory.split(":")[0])
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return user_path(f"{state}/affectd")


def user_path(text: str) -> Path:
    """A path whose ~ stands for the user's home. Raises SettingsError if that is not known."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise SettingsError(
            f"{text} begins with the home of a user who has none here; set a whole path instead"
        ) from error
