"""Tries what a service should not be able to do; prints a JSON object of what came of it.

Runs inside the machine, in the place of affectd, with the sandbox of the unit.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

NEW_USER_NAMESPACE = 0x10000000
REALTIME = os.sched_param(1)


def connect(host: str, port: str) -> None:
    socket.create_connection((host, int(port)), 2).close()


def unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_USER_NAMESPACE):
        raise OSError(ctypes.get_errno(), "unshare")


def run_from(folder: str) -> None:
    program = Path(folder) / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    subprocess.run([program], check=True)


def write(path: str) -> None:
    Path(path).write_text("x")


def device(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def others() -> None:
    """Fails where the processes of other users cannot be seen."""
    Path("/proc/1/status").read_text()


def attempt(what: Callable[[], object]) -> str:
    try:
        what()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "done"


def main(host: str, port: str) -> None:
    state, logs, runtime = (
        os.environ[f"{kind}_DIRECTORY"] for kind in ("STATE", "LOGS", "RUNTIME")
    )
    places = (state, logs, runtime, "/tmp", "/dev/shm")
    tries: dict[str, Callable[[], object]] = {
        "write to its state": lambda: write(f"{state}/x"),
        "write to its logs": lambda: write(f"{logs}/x"),
        "write to its runtime folder": lambda: write(f"{runtime}/x"),
        "write to /etc": lambda: write("/etc/affectd/x"),
        "write to /var": lambda: write("/var/lib/x"),
        "write to /dev/shm as others do": lambda: write("/dev/shm/x"),
        "read the password's source": lambda: Path("/etc/affectd/mqtt_password").read_text(),
        "look into homes": lambda: list(Path("/root").iterdir()),
        "see processes of others": others,
        "open a device of sound": lambda: device("/dev/snd/ours"),
        "open another device": lambda: device("/dev/snd/other"),
        "reach the local broker": lambda: connect("127.0.0.1", port),
        "reach the broker": lambda: connect(host, port),
        "talk to the kernel's network": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "make a namespace": unshare,
        "become real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, REALTIME),
        "change its priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
        **{f"run a program from {place}": partial(run_from, place) for place in places},
    }
    print(json.dumps({name: attempt(what) for name, what in tries.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
