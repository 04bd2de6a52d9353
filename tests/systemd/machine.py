"""A machine with a real systemd, on this kernel: see machine.sh."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from tests.conftest import wait_until

SCRIPT: Final = Path(__file__).with_name("machine.sh")
PATIENCE_S: Final = 120.0  # on a busy machine


class Machine:
    """Boots over a root directory, which it does not change; nothing of it is left after `stop`.

    Nothing is left either when the process that started it ends in any way, as the machine lives
    as long as a pipe from it is open.
    """

    def __init__(
        self,
        folder: Path,
        root: Path = Path("/"),
        network: Literal["shared", "own"] = "shared",
        binds: Mapping[Path, str] | None = None,
    ) -> None:
        """folder: an empty one for its console and its writes.

        root: a Debian with systemd. network: the host's, or an own one with a loopback alone.
        binds: what of the host is seen inside, read-only, and where.
        """
        self._folder, self._console = folder / "machine", folder / "console"
        pairs = [f"{source}:{target}" for source, target in (binds or {}).items()]
        self._command = [str(SCRIPT), str(root), str(self._folder), network, *pairs]
        self._launcher: subprocess.Popen[str] | None = None
        self.pid = 0  # the host's of its PID 1
        self.group = Path()  # its control group on the host

    def start(self) -> None:
        """Boot, and wait until systemd has started all it wants to."""
        self._folder.mkdir(parents=True)
        with self._console.open("w") as console:
            self._launcher = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                text=True,
                start_new_session=True,
            )
        assert self._launcher.stdout is not None
        told = self._launcher.stdout.readline().split()
        assert told, self.console
        self.pid, self.group = int(told[0]), Path(told[1])
        wait_until(self._has_booted, f"the machine has booted; see {self._console}", PATIENCE_S)

    def stop(self) -> None:
        """End it at once, as by pulling the plug."""
        if self._launcher is not None:
            self._launcher.communicate(timeout=PATIENCE_S)
            self._launcher = None

    @property
    def root(self) -> Path:
        """Its root directory as this process sees it, to read and to write files in."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def written(self) -> Path:
        """The upper layer: what has been written since before the boot, by whomever.

        /dev, /proc, /run, /sys and /tmp are not in it.
        """
        assert self._launcher is not None
        return Path(f"/proc/{self._launcher.pid}/root{self._folder}/upper")

    @property
    def console(self) -> str:
        """What PID 1 has said."""
        return self._console.read_text()

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a folder of the host into it."""
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, path, dirs_exist_ok=True)
        else:
            shutil.copy(source, path)

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def ask(
        self, *words: object, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside as root, to its end."""
        inside = ["nsenter", "--target", str(self.pid), "--all", "--wd=/", "env", "-i"]
        inside += ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return subprocess.run(
            [*inside, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def run(self, *words: object, timeout_s: float = PATIENCE_S) -> str:
        """What a command that has to succeed prints inside."""
        done = self.ask(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def show(self, unit: str, key: str) -> str:
        """A property of a unit, as `systemctl show` tells it."""
        return self.run("systemctl", "show", "--value", "--property", key, unit).strip()

    def journal(self, unit: str, *words: str) -> str:
        """What the journal holds of a unit, a JSON object a line."""
        return self.run("journalctl", "--unit", unit, "--output", "json", *words)

    def _has_booted(self) -> bool:
        assert self._launcher is not None
        assert self._launcher.poll() is None, self.console
        return self.ask("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
