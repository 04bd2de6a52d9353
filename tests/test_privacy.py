"""No audio leaves affectd, and none is left in it after a pause: by content, seen from outside."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.publish.feed import SOCKET
from tests.bundles import gated
from tests.conftest import AFFECTD, Listener, Mosquitto, SoundServer, wait_until
from tests.system_calls import by_target, given, traced
from tests.traces import Sound, memory

UTTERANCE: Final = "affectd/kitchen/utterance"
LIMIT_S: Final = 60.0

# Calls that may take data out of a process, all of which is seen: strings, or files with a name.
SEEN: Final = {
    *("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg", "connect", "bind"),
    *("listen", "open", "openat", "mmap", "memfd_create", "mkdir", "unlink", "rename", "execve"),
}
# Calls without a target: their strings are paths, a name of memory, and a program's words.
WITHOUT_TARGET: Final = {"mkdir", "unlink", "rename", "memfd_create", "execve"}
USUAL: Final = re.compile(
    r"pipe:\[\d+\]|anon_inode:\[eventfd\]|TCP:\[(\d+|127\.0\.0\.1:[\d.:>-]+)\]"  # between its threads
    r"|/dev/null.*|/var/run/nscd/socket|NETLINK:\[.*"  # libc, which looks up the broker's name
    r"|/dev/(dsp\d*|shm/jack_.*)|/memfd:pulseaudio"  # what PortAudio tries; see SHARED
)
# PulseAudio's library and server share this memory, in which the server delivers what it records.
SHARED: Final = "/memfd:pulseaudio"
CONTROL: Final = 16_000  # bytes: less than half a second of audio
REGISTERS: Final = 32  # samples, 2 ms, that saved registers of the processor may hold
PACKET: Final = 16  # bytes of MQTT around a topic and its payload
SESSION: Final = 1_000  # bytes of MQTT that carry no payload, and the last ones after a farewell

LEAKS: Final = """
import base64, mmap, os, socket, sys
import numpy as np, sounddevice
folder, port = sys.argv[1:]
heard = sounddevice.rec(48_000, samplerate=16_000, channels=1, dtype="int16", blocking=True)
raw = heard[-16_000:, 0].tobytes()
with open(f"{folder}/file", "wb") as file:
    file.write(b"." + raw)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel, open(f"{folder}/file") as file:
    channel.connect(("127.0.0.1", int(port)))
    channel.send((heard[-16_000:] / np.float32(32768)).tobytes())
    os.sendfile(channel.fileno(), file.fileno(), 0, 1000)
print(base64.b64encode(b"." + raw).decode())
print(raw.hex(), file=sys.stderr)
with open(f"{folder}/mapped", "w+b") as file:
    file.truncate(32_000)
    with mmap.mmap(file.fileno(), 32_000) as mapped:
        mapped[:] = raw
"""


@pytest.fixture
def heard(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    """Two sentences that are read."""
    return speech[int(4.3 * 16_000) : (11 * 16_000)]


@pytest.fixture
def sound(heard: NDArray[np.int16]) -> Sound:
    return Sound(heard)


@pytest.fixture
def environment(sound_server: SoundServer, mosquitto: Mosquitto, tmp_path: Path) -> dict[str, str]:
    settings = {
        "AFFECTD_LOG__PATH": tmp_path / "readings.jsonl",
        "AFFECTD_NODE": "kitchen",
        "AFFECTD_MQTT__PORT": mosquitto.port,
        "AFFECTD_EMOTION__BUNDLE": gated(tmp_path / "bundle", threshold=0.0),
        "NOTIFY_SOCKET": tmp_path / "notify",
        "PYTHONDONTWRITEBYTECODE": 1,
        "XDG_STATE_HOME": tmp_path / "state",
    }
    settings |= {"LD_BIND_NOW": "1"}  # as the units and `make run` set it
    return sound_server.environment | {name: str(value) for name, value in settings.items()}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator["Start"]:
    started = Start(environment, tmp_path)
    yield started
    started.end()


class Start:
    """Starts programs that hear the virtual sound card; what they say goes to files."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.said, self.cried = folder / "said", folder / "cried"

    def __call__(self, *command: str) -> subprocess.Popen[bytes]:
        with self.said.open("wb") as said, self.cried.open("wb") as cried:
            process = subprocess.Popen(
                command, env=self._environment, stdout=said, stderr=cried, start_new_session=True
            )
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def hears(listener: Listener) -> str:
    """What the newest health says."""
    told = listener.on("affectd/kitchen/health")
    return str(json.loads(told[-1])["listening"]) if told else ""


def wait_until_read(listener: Listener, readings: int) -> None:
    wait_until(lambda: len(listener.on(UTTERANCE)) >= readings, "it is read", LIMIT_S)


def found(sound: Sound, held: Iterator[tuple[str, bytes]]) -> Counter[str]:
    """How many samples of the sound are held in which mapping of memory."""
    counts: Counter[str] = Counter()
    for mapping, data in held:
        counts[mapping] += sum(sound.forms_in(data, aligned=True).values())
    return +counts


def leaks(sound: Sound, sent: Mapping[str, bytes]) -> dict[str, set[str]]:
    """In which forms the sound went where, or lies in a file that could be written."""
    places = list(sent.items())
    places += [(to, Path(to).read_bytes()) for to in sent if Path(to).is_file()]
    gone: dict[str, set[str]] = {}
    for to, data in places:
        if forms := sound.forms_in(data):
            gone.setdefault(to, set()).update(forms)
    return gone


def own_files(start: Start, folder: Path) -> set[str]:
    """What the service writes: what it says, readings, the journal and the voice."""
    state = folder / "state" / "affectd"
    return {
        *(str(path) for path in (start.said, start.cried, folder / "readings.jsonl")),
        *(f"{state / 'journal.sqlite'}{ending}" for ending in ("", "-journal", "-wal", "-shm")),
        str(state / "voice-kitchen.json.new"),
    }


def test_no_audio_leaves_the_service_and_all_that_does_has_a_known_place(
    start: Start,
    sound_server: SoundServer,
    mosquitto: Mosquitto,
    listener: Listener,
    heard: NDArray[np.int16],
    sound: Sound,
    tmp_path: Path,
) -> None:
    listener.client.subscribe("homeassistant/#", 1)
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    strace = start(*traced(tmp_path / "trace"), *AFFECTD, "run")
    wait_until(sound_server.recordings, "the microphone is open", LIMIT_S)
    watch_socket, watcher = tmp_path / "sound" / "affectd" / SOCKET, socket.socket(socket.AF_UNIX)
    watcher.connect(str(watch_socket))
    sound_server.play(heard)
    wait_until_read(listener, 2)
    (pid,) = map(int, Path(f"/proc/{strace.pid}/task/{strace.pid}/children").read_text().split())
    shared = {mapping.split()[5] for mapping in found(sound, memory(pid, shared=True))}
    assert shared <= {SHARED}
    os.kill(pid, signal.SIGTERM)
    assert strace.wait(LIMIT_S) == 0
    systemd.close()
    watched = b"".join(iter(lambda: watcher.recv(1 << 16), b""))
    watcher.close()

    calls = list(given(tmp_path / "trace"))
    assert {one.call for one in calls} <= SEEN
    sent, broker = by_target(calls), f"port {mosquitto.port}"
    sound_socket = str(tmp_path / "sound" / "native")
    readers = {to for to in sent if to.endswith(f',"{watch_socket}"]')}
    unbound = {to.replace(f',"{watch_socket}"', "") for to in readers}
    opened = {str(watch_socket.with_suffix(".lock")), "/dev/tty"}  # and never written
    known = {
        *own_files(start, tmp_path),
        broker,
        sound_socket,
        str(tmp_path / "notify"),
        *WITHOUT_TARGET,
    }
    known |= readers | unbound | opened
    awaited = {f"port {one.to.rpartition(':')[2][:-1]}" for one in calls if one.call == "listen"}
    strange = {to for to in sent.keys() - known - awaited if not USUAL.fullmatch(to)}
    assert strange == set()
    assert leaks(sound, sent) == {}
    assert all(sent[to] == b"" for to in opened & sent.keys())
    told = (one.data for one in calls if one.call == "sendto" and one.to in readers)
    assert b"".join(told) == watched
    assert b'"level"' in watched
    assert len(sent[sound_socket]) < CONTROL
    # What the broker got is what anyone can read there.
    messages = sum(len(one.topic) + len(one.payload) + PACKET for one in listener.messages)
    assert len(sent[broker]) < messages + SESSION


def test_audio_that_leaves_a_program_would_be_found(
    start: Start, sound_server: SoundServer, heard: NDArray[np.int16], sound: Sound, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.bind(("127.0.0.1", 0))
        port = str(outside.getsockname()[1])
        strace = start(
            *traced(tmp_path / "trace"), sys.executable, "-c", LEAKS, str(tmp_path), port
        )
        wait_until(sound_server.recordings, "the microphone is open", LIMIT_S)
        sound_server.play(heard)
        assert strace.wait(LIMIT_S) == 0, start.cried.read_text()[-2000:]
    calls = list(given(tmp_path / "trace"))
    gone = leaks(sound, by_target(calls))
    other = "int16 of the other byte order"
    assert gone == {
        str(tmp_path / "file"): {"int16", other},
        str(tmp_path / "mapped"): {"int16", other},
        f"port {port}": {"float32"},
        str(start.said): {"int16 in base64", f"{other} in base64"},
        str(start.cried): {"int16 in hexadecimal", f"{other} in hexadecimal"},
    }
    assert {one.call for one in calls} - SEEN == {"sendfile"}


def test_after_a_pause_nothing_that_was_heard_is_left_in_memory(
    start: Start,
    sound_server: SoundServer,
    listener: Listener,
    heard: NDArray[np.int16],
    sound: Sound,
) -> None:
    service = start(*AFFECTD, "run")
    wait_until(sound_server.recordings, "the microphone is open", LIMIT_S)
    sound_server.play(np.concatenate([heard, heard]))
    wait_until_read(listener, 1)
    held = found(sound, memory(service.pid))
    assert sum(held.values()) > 10_000
    listener.client.publish("affectd/kitchen/listening/set", b"OFF", 1)
    wait_until(lambda: hears(listener) == "paused", "it is paused", LIMIT_S)
    left = found(sound, memory(service.pid))
    assert sum(left.values()) <= REGISTERS, left
