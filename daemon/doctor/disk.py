"""Room in the folders that affectd writes to, and whether they lie on a disk."""

import os
import shutil
from pathlib import Path
from typing import Final

from affectd.daemon.doctor.finding import Finding, Problem, wrong

MOUNTS: Final = Path("/proc/self/mountinfo")
IN_MEMORY: Final = {"tmpfs", "ramfs", "devtmpfs"}
FULL_BYTES: Final = 1_000_000
LOW_BYTES: Final = 100_000_000
LOW_SHARE: Final = 0.1  # of a file system that is small itself


def room(check: str, folder: Path) -> Finding | None:
    """What is wrong with the room in a folder; None if there is enough."""
    usage = shutil.disk_usage(folder)
    return judge(check, folder, usage.total, usage.free)


def judge(check: str, folder: Path, total: int, free: int) -> Finding | None:
    """The same of a file system with so many bytes."""
    if free >= min(LOW_BYTES, LOW_SHARE * total):
        return None
    problem = Problem.DISK_FULL if free < FULL_BYTES else Problem.DISK_LOW
    told = f"{free / 1e6:.1f} MB are free in {folder}"
    return wrong(check, problem, told, folder=str(folder), free_bytes=free, total_bytes=total)


def nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists. Raises PermissionError."""
    path = path.absolute()
    while True:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            path = path.parent
        else:
            return path


def roots(check: str, path: Path) -> Finding | None:
    """A file of root's in a folder that is another user's, as `sudo affectd run` leaves it."""
    owner, around = path.stat().st_uid, path.parent.stat().st_uid
    if owner != 0 or around == 0:
        return None
    message = f"{path} belongs to root, its folder to another user, who cannot write it"
    return wrong(check, Problem.FILE_OF_ROOT, message, file=str(path), folder_uid=around)


def is_in_memory(path: Path) -> bool:
    """Whether what lies there is gone after a restart of the machine."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text().splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1] in IN_MEMORY
    return False
