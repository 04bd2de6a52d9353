"""What it costs a service in silence that somebody watches.

`python -m benchmarks.watched 60`: two `affectd run` play faint hiss at the pace of a microphone
side by side for so many seconds, so that other load makes both worse; one of them has a reader.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from affectd.daemon.publish.feed import SOCKET
from affectd.daemon.speech.vad import RATE_HZ
from benchmarks.meter import cpu_share, use
from tests.conftest import AFFECTD, wait_until

START_S: Final = 60.0  # at most, for the sockets to be there
WARM_UP_S: Final = 15.0  # of hiss that are not counted


def main() -> None:
    """Print the share of one core that each takes."""
    seconds = float(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        hiss = np.random.default_rng(0).integers(
            -2, 3, round((START_S + WARM_UP_S + seconds) * RATE_HZ)
        )
        recording = Path(name, "hiss.wav")
        soundfile.write(recording, hiss.astype(np.int16), RATE_HZ)
        services = {kind: _service(Path(name, kind), recording) for kind in ("alone", "watched")}
        for process in services.values():
            stack.callback(process.wait)
            stack.callback(process.kill)
        for kind in services:
            wait_until(Path(name, kind, "affectd", SOCKET).exists, "the socket is there", START_S)
        reader = stack.enter_context(socket.socket(socket.AF_UNIX))
        reader.connect(str(Path(name, "watched", "affectd", SOCKET)))
        threading.Thread(target=_read, args=(reader,), daemon=True).start()
        pause = threading.Event()
        pause.wait(WARM_UP_S)
        before = {kind: use(process.pid) for kind, process in services.items()}
        pause.wait(seconds)
        for kind, process in services.items():
            print(f"{kind:8} {cpu_share(before[kind], use(process.pid)):.2%} of one core")


def _service(folder: Path, recording: Path) -> subprocess.Popen[bytes]:
    """A service of its own folder, that finds no broker."""
    folder.mkdir()
    names = ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    return subprocess.Popen(
        [*AFFECTD, "run", "--input", str(recording)],
        env=os.environ | dict.fromkeys(names, str(folder)) | {"AFFECTD_MQTT__PORT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _read(reader: socket.socket) -> None:
    while reader.recv(65_536):
        pass


if __name__ == "__main__":
    main()
