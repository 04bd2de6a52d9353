"""What is examined: a configuration, and where the service that has it keeps its things."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from affectd.daemon import configuration
from affectd.daemon.settings import CREDENTIAL, Settings, pause_path

ETC: Final = Path("/etc/affectd")
# What systemd tells the unit, and nobody else.
FOLDERS: Final = {
    "STATE_DIRECTORY": "/var/lib/affectd",
    "RUNTIME_DIRECTORY": "/run/affectd",
    "LOGS_DIRECTORY": "/var/log/affectd",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What all checks are given."""

    settings: Settings
    path: Path | None  # of the configuration; None if there is none
    environment: Mapping[str, str]  # as the service has it
    listen_s: float  # how long the microphones are heard
    tell: Callable[[str], None]  # what is done now, for a person who waits

    @property
    def is_of_system(self) -> bool:
        """Whether it is systemd's service, which has a user of its own."""
        return FOLDERS.keys() <= self.environment.keys()

    def of_node(self, node: str, message: str) -> str:
        """A message that names its node, where there are several."""
        return f"{node}: {message}" if self.settings.rooms else message


def case_of(
    path: Path | None,
    environment: Mapping[str, str],
    listen_s: float,
    tell: Callable[[str], None],
) -> Case:
    """Load the configuration. Raises SettingsError."""
    path = path or configuration.find(environment)
    settings = configuration.load(path, environment)
    if _is_of_system(path, settings, environment):
        environment = FOLDERS | dict(environment)
        if settings.mqtt.username is not None and (ETC / CREDENTIAL).exists():
            environment = {"CREDENTIALS_DIRECTORY": str(ETC)} | environment
    return Case(settings, path, environment, listen_s, tell)


def _is_of_system(path: Path | None, settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether it is the system's service: by its configuration, else as there is no other."""
    if path is not None and path.absolute().is_relative_to(ETC):
        return True
    own = pause_path(settings, environment).parent
    return not own.exists() and Path(FOLDERS["STATE_DIRECTORY"]).exists()
