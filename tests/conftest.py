"""Real parts for tests: a broker, a sound card, recordings and the networks."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import paho.mqtt.client as paho
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.bundle import DEFAULT, load
from affectd.daemon.emotion.classifier import Classifier

# Examples are slow on a busy machine; how slow is not what these tests are about.
settings.register_profile("affectd", deadline=None)
settings.load_profile("affectd")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DEMO = DEFAULT / "demo" / "recording.ogg"
AFFECTD = [sys.executable, "-m", "affectd.daemon"]


@pytest.fixture(scope="session", autouse=True)
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is run here apart from an affectd that runs on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield


@pytest.fixture(scope="session")
def speech() -> NDArray[np.int16]:
    """Acted speech, twelve clips with pauses, mono, 16 kHz."""
    return Recording(DEMO).samples()


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture(scope="session")
def half_gate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A gate that takes everything for speech with a probability of one half."""
    import keras

    from affectd.export.convert import convert

    path = tmp_path_factory.mktemp("keras") / "half.keras"
    encoder = load(DEFAULT).encoder
    layers = [
        keras.Input((encoder.frames, encoder.width)),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros"),
    ]
    keras.Sequential(layers).save(path)
    return convert(path, "float32")


@pytest.fixture(scope="session")
def ravdess_root() -> Path:
    if not (DATA / "ravdess").is_dir():
        pytest.skip(f"RAVDESS is not beside this checkout ({DATA / 'ravdess'})")
    return DATA / "ravdess"


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition, or fail naming it."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain until {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Mosquitto:
    """A real broker on loopback that can be stopped and started again."""

    folder: Path
    extra: str = "allow_anonymous true"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{self.extra}\n")
        self.process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "mosquitto answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@dataclass(frozen=True)
class Received:
    """One message as a subscriber saw it."""

    topic: str
    payload: bytes
    retained: bool


class Listener:
    """An independent subscriber to everything under affectd/."""

    def __init__(self, port: int, **login: str) -> None:
        self.messages: list[Received] = []
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self.client.username_pw_set(**login)
        self.client.on_connect = lambda client, *_: client.subscribe("affectd/#", 1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            Received(message.topic, bytes(message.payload), message.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert subscribed.wait(10), "the subscription was not acknowledged"

    def on(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    subscriber = Listener(mosquitto.port)
    yield subscriber
    subscriber.close()


class SoundServer:
    """PulseAudio with one microphone, fed through a pipe; for programs run with `environment`.

    The microphone delivers nothing until something is played, and faint hiss after it, at the pace
    of a real one.
    """

    socket = "native"  # below the home, where it answers

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        asoundrc = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
        (home / ".asoundrc").write_text(asoundrc)
        self._home, self._fifo, self._socket = home, home / "mic.fifo", home / self.socket
        self.environment = os.environ | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "PULSE_SERVER": f"unix:{self._socket}",
        }
        self.silence = threading.Event()  # while it is set, the microphone delivers nothing
        self.pace = 1.0  # of its clock; a device of another rate than it says has another one
        self._closed = threading.Event()
        self._to_play: list[NDArray[np.int16]] = []
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._servers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the server, and plug the microphone in."""
        self.serve()
        self.plug()

    def serve(self) -> None:
        """Start the server, without a microphone."""
        self._serve()
        wait_until(lambda: self._control("info").returncode == 0, "the sound server answers")

    def plug(self, name: str = "mic") -> None:
        """Plug the microphone in, and make it the default one."""
        fifo = self._fifo if name == "mic" else self._home / f"{name}.fifo"
        module = f"source_name={name} file={fifo} format=s16le rate=16000 channels=1"
        assert self._control("load-module", "module-pipe-source", module).returncode == 0
        assert self._control("set-default-source", name).returncode == 0

    def add(self, name: str) -> None:
        """Plug in another microphone, which hears the same, and leave the default as it is."""
        module = f"master=mic source_name={name}"
        assert self._control("load-module", "module-remap-source", module).returncode == 0

    def unplug(self) -> None:
        """Take the microphone away."""
        assert self._control("unload-module", "module-pipe-source").returncode == 0

    def kill(self) -> None:
        """End the server without a farewell."""
        for server in self._servers:
            server.kill()
            server.wait()
        self._servers = []
        for left in (self._socket, self._fifo):
            left.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let the server stand still."""
        for server in self._servers:
            server.send_signal(signal.SIGSTOP)

    def recordings(self) -> str:
        """What records from the server now, a line each."""
        return self._control("list", "short", "source-outputs").stdout.decode()

    def play(self, samples: NDArray[np.int16]) -> None:
        """Let the microphone hear samples, mono, 16 kHz, and then hiss."""
        self._to_play.append(samples)
        if not self._feeder.is_alive():
            self._feeder.start()

    def close(self) -> None:
        """End everything."""
        self._closed.set()
        if self._feeder.is_alive():
            self._feeder.join(10)
        self.kill()

    def _serve(self) -> None:
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"]
        command += ["--exit-idle-time=-1", "-L"]
        self._run(*command, f"module-native-protocol-unix socket={self._socket} auth-anonymous=1")

    def _run(self, *command: str) -> None:
        server = subprocess.Popen(
            command, env=self.environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        self._servers.append(server)

    def _control(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, check=False
        )

    def _feed(self) -> None:
        """Write 30 ms of sound every 30 ms; what finds no microphone is lost, as in a room."""
        random, rest = np.random.default_rng(0), np.empty(0, np.int16)
        due, pipe = time.monotonic(), -1
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            due += 0.03
            if not rest.size and self._to_play:
                rest = self._to_play.pop(0)
            if self.silence.is_set():
                continue
            size = round(480 * self.pace)
            hiss = random.integers(-2, 3, max(0, size - rest.size)).astype(np.int16)
            block, rest = np.concatenate([rest[:size], hiss]), rest[size:]
            try:
                if pipe < 0:
                    pipe = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
                os.write(pipe, block.tobytes())
            except BlockingIOError:
                continue
            except OSError:  # there is no microphone now
                if pipe >= 0:
                    os.close(pipe)
                pipe = -1
        if pipe >= 0:
            os.close(pipe)


class PipeWire(SoundServer):
    """PipeWire with its PulseAudio server and session manager, and the same microphone."""

    socket = "pulse/native"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        # Of the session manager that alone which links streams: the rest needs D-Bus and devices.
        enable = 'load_module("metadata")\ndevice_defaults.enable()\n'
        for part, script in (("main", enable), ("bluetooth", "")):
            folder = home / ".config" / "wireplumber" / f"{part}.lua.d"
            folder.mkdir(parents=True)
            (folder / "90-enable-all.lua").write_text(script)
        self.environment.pop("XDG_CONFIG_HOME", None)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={home / 'no-bus'}"

    def _serve(self) -> None:
        self._run("pipewire")
        wait_until((self._home / "pipewire-0").exists, "PipeWire answers")
        self._run("wireplumber")
        self._run("pipewire-pulse")

    def kill(self) -> None:
        """End the server without a farewell."""
        super().kill()
        (self._home / "pipewire-0").unlink(missing_ok=True)


SOUND_SERVERS = {"pulseaudio": SoundServer, "pipewire": PipeWire}


@pytest.fixture
def sound_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SoundServer]:
    """PulseAudio, or what a test names of SOUND_SERVERS by an indirect parameter."""
    server = SOUND_SERVERS[getattr(request, "param", "pulseaudio")](tmp_path / "sound")
    try:
        server.start()
        yield server
    finally:
        server.close()


def run_affectd(
    *words: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the affectd command to its end."""
    command = [*AFFECTD, *map(str, words)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def lines_of(text: str) -> list[dict[str, object]]:
    """Every line as the JSON object that it must be."""
    return [msgspec.json.decode(line, type=dict) for line in text.splitlines()]
