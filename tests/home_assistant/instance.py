"""A real Home Assistant for tests, in the tree that tree.sh makes."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.conftest import free_port, wait_until

SCRIPT: Final = Path(__file__).with_name("tree.sh")
WARNINGS: Final = ("WARNING", "ERROR", "CRITICAL")
OWNER: Final = "0" * 32
KEY: Final = "only-for-tests-" * 4
# Old layouts on purpose: each release brings them up to its own.
AUTH: Final = {
    "users": [
        {
            "id": OWNER,
            "group_ids": ["system-admin"],
            "is_owner": True,
            "is_active": True,
            "name": "Test",
            "system_generated": False,
            "local_only": True,
        }
    ],
    "groups": [],
    "credentials": [],
    "refresh_tokens": [
        {
            "id": OWNER,
            "user_id": OWNER,
            "client_id": None,
            "client_name": "tests",
            "client_icon": None,
            "token_type": "long_lived_access_token",
            "created_at": "2026-01-01T00:00:00+00:00",
            "access_token_expiration": 315_360_000.0,
            "token": "0" * 128,
            "jwt_key": KEY,
        }
    ],
}
CONFIGURATION: Final = """\
homeassistant: {{name: Test, time_zone: UTC, latitude: 0, longitude: 0, elevation: 0, country: FR}}
http: {{server_host: 127.0.0.1, server_port: {port}}}
logger: {{default: warning, logs: {{homeassistant.components.mqtt: info}}}}
input_boolean: {{television: }}
automation: !include automations.yaml
"""


class HomeAssistant:
    """One installation: its folder stays while it is stopped and started again."""

    def __init__(self, version: str, folder: Path, broker_port: int) -> None:
        self.version, self.folder, self.port = version, folder, free_port()
        self._environment = os.environ | {"HOME_ASSISTANT": version}
        self._process: subprocess.Popen[bytes] | None = None
        self._output = folder.with_suffix(".log")
        (folder / ".storage").mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port))
        (folder / "automations.yaml").write_text("[]\n")
        self._store("auth", AUTH)
        done = {"done": ["user", "core_config", "analytics", "integration"]}
        self._store("onboarding", done, version=4)
        # Else a new release puts what it finds in YAML on trial, and starts itself anew for that.
        self._store("http", {"server_host": ["127.0.0.1"], "server_port": self.port})
        entry = {
            "entry_id": "1" * 32,
            "version": 1,
            "domain": "mqtt",
            "title": "mosquitto",
            "source": "user",
            "data": {"broker": "127.0.0.1", "port": broker_port},
        }
        self._store("core.config_entries", {"entries": [entry]})

    def start(self) -> None:
        """Start it, and wait until it runs and is connected to the broker."""
        command = self._inside("hass", "-c", "/config", "--skip-pip")
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=output
            )
        wait_until(self._is_running, f"Home Assistant runs; see {self._output}", 120)

    def stop(self) -> None:
        """Stop it as a person would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def run(self, *command: object) -> str:
        """What a command prints inside the tree, where it sees the folder as /config."""
        words = self._inside(*command)
        done = subprocess.run(
            words, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def states(self, node: str) -> dict[str, Any]:
        """Every entity of a node: its state and attributes, by its id."""
        found = self._ask("GET", "/api/states")
        return {s["entity_id"]: s for s in found if f".affectd_{node}_" in s["entity_id"]}

    def state(self, entity: str) -> str:
        """The state of an entity, or nothing if there is none."""
        found = [s["state"] for s in self._ask("GET", "/api/states") if s["entity_id"] == entity]
        return "".join(found)

    def attributes(self, entity: str) -> dict[str, Any]:
        """What is known of an entity beside its state."""
        found: dict[str, Any] = self._ask("GET", f"/api/states/{entity}")["attributes"]
        return found

    def call(self, service: str, entity: str = "", **data: object) -> None:
        """Do what a person would do in the frontend, mostly to an entity."""
        path = f"/api/services/{service.replace('.', '/')}"
        self._ask("POST", path, {"entity_id": entity, **data} if entity else data)

    def warnings(self) -> list[str]:
        """What its log holds of warnings and errors that have to do with MQTT or affectd."""
        lines = self._output.read_text().splitlines()
        told = [line for line in lines if any(f" {level} " in line for level in WARNINGS)]
        return [line for line in told if "mqtt" in line or "affectd" in line]

    def _inside(self, *command: object) -> list[str]:
        return [str(word) for word in (SCRIPT, "run", self.folder, *command)]

    def _is_running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._output.read_text()[-2000:]
        try:
            entries = self._ask("GET", "/api/config/config_entries/entry?domain=mqtt")
            running: bool = self._ask("GET", "/api/config")["state"] == "RUNNING"
        except OSError:
            return False
        return running and [entry["state"] for entry in entries] == ["loaded"]

    def _store(self, key: str, data: dict[str, Any], version: int = 1) -> None:
        content = {"version": version, "minor_version": 1, "key": key, "data": data}
        (self.folder / ".storage" / key).write_text(json.dumps(content))

    def _ask(self, method: str, path: str, data: object = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            body,
            {"Authorization": f"Bearer {_token()}", "Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)


def _token() -> str:
    """The access token that belongs to AUTH."""
    now = int(time.time())
    parts = [{"alg": "HS256", "typ": "JWT"}, {"iss": OWNER, "iat": now - 60, "exp": now + 86_400}]
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{_base64(hmac.digest(KEY.encode(), text.encode(), hashlib.sha256))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
