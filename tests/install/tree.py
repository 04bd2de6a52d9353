"""A copy of a root directory in which commands run as root: see tree.sh."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("tree.sh")


class Tree:
    """A root directory that may be changed; nothing of it is left after `close`."""

    def __init__(
        self, folder: Path, root: Path = Path("/"), binds: Sequence[tuple[Path, str]] = ()
    ) -> None:
        """folder: an empty one. binds: what of the host is seen inside, read-only, and where."""
        pairs = [f"{source}:{target}" for source, target in binds]
        self._holder = subprocess.Popen(
            [str(SCRIPT), str(root), str(folder), *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline(), "no tree was made; see standard error"
        self._folder = folder

    def close(self) -> None:
        """Forget it."""
        self._holder.communicate(timeout=60)

    def path(self, inside: str) -> Path:
        """Where this process sees a path of the tree."""
        return Path(f"/proc/{self._holder.pid}/root{self._folder}/root{inside}")

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a folder of the host into it."""
        path = self.path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, path, dirs_exist_ok=True)
        else:
            shutil.copy(source, path)

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        path = self.path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def ask(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside as root, to its end."""
        command = ["nsenter", f"--target={self._holder.pid}", "--mount", "--wd=/"]
        command += ["chroot", str(self._folder / "root"), "env", "-i"]
        command += [
            "HOME=/root",
            "LANG=C.UTF-8",
            "PYTHONDONTWRITEBYTECODE=1",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        command += [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [*command, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def run(self, *words: object, **environment: str) -> str:
        """What a command that has to succeed prints inside."""
        done = self.ask(*words, **environment)
        assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stderr}"
        return done.stdout
