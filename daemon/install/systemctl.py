"""systemd's own command, for the machine's services or a user's."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from affectd.daemon.errors import InstallError
from affectd.daemon.install.place import session_folder
from affectd.daemon.install.step import Step

JOURNAL = {False: "journalctl -u affectd", True: "journalctl --user -u affectd"}


class Systemctl:
    """Asks and tells systemd; where it does not run, its files alone are changed."""

    def __init__(self, is_user: bool, environment: Mapping[str, str]) -> None:
        """Raises InstallError if this machine has no systemd."""
        if shutil.which("systemctl") is None:
            raise InstallError(
                "there is no systemctl, so this machine has no systemd to keep a service; "
                "start `affectd run` by what does so here"
            )
        self._is_user = is_user
        self._environment = dict(environment)
        if is_user:
            runtime = session_folder(environment)
            self.is_running = runtime is not None and (runtime / "systemd" / "private").exists()
            if runtime is not None:
                self._environment["XDG_RUNTIME_DIR"] = str(runtime)
        else:  # source: sd_booted(3)
            self.is_running = Path("/run/systemd/system").is_dir()
        if not self.is_running:
            self._environment["SYSTEMD_OFFLINE"] = "1"

    def is_enabled(self) -> bool:
        """Whether the service starts by itself."""
        return self._ask("is-enabled") == "enabled"

    def is_active(self) -> bool:
        """Whether the service runs, or is on its way."""
        return self.is_running and self._ask("is-active") in ("active", "activating", "reloading")

    def line(self, *words: str) -> str:
        """The command for these words, as a person would type it."""
        return " ".join(["systemctl", *(["--user"] if self._is_user else []), *words])

    def step(self, *words: str) -> Step:
        """What runs systemctl, as a step."""
        return Step(f"run {self.line(*words)}", partial(self.tell, *words))

    def tell(self, *words: str) -> None:
        """Run systemctl. Raises InstallError, with what it says, if that fails."""
        done = self._run(*words)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise InstallError(
                f"`{self.line(*words)}` failed: {said}; `{JOURNAL[self._is_user]}` tells more"
            )

    def _ask(self, question: str) -> str:
        return self._run(question, "affectd").stdout.strip()

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = self.line(*words).split()
        environment = os.environ | self._environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
