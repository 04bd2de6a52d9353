"""Real parts for tests: a broker, a sound card, recordings and the networks."""

import os
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
from affectd.daemon.emotion.bundle import DEFAULT
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.speech.mfcc import FeatureSpec

# Examples are slow on a busy machine; how slow is not what these tests are about.
settings.register_profile("affectd", deadline=None)
settings.load_profile("affectd")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DEMO = DEFAULT / "demo" / "recording.ogg"
AFFECTD = [sys.executable, "-m", "affectd.daemon"]


@pytest.fixture(scope="session")
def speech() -> NDArray[np.int16]:
    """Acted speech, eleven clips with pauses, mono, 16 kHz."""
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
    spec = FeatureSpec()
    layers = [
        keras.Input((spec.n_frames, spec.n_mfcc)),
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

    The microphone delivers nothing until something is played, and silence after it.
    """

    def __init__(self, environment: dict[str, str], fifo: Path) -> None:
        self.environment = environment
        self._fifo = fifo
        self._closed = threading.Event()
        self._feeder: threading.Thread | None = None

    def play(self, samples: NDArray[np.int16]) -> None:
        """Let the microphone hear samples, mono, 16 kHz, and then silence."""
        self._feeder = threading.Thread(target=self._feed, args=(samples,), daemon=True)
        self._feeder.start()

    def close(self) -> None:
        self._closed.set()
        if self._feeder is not None:
            self._feeder.join(10)

    def _feed(self, samples: NDArray[np.int16]) -> None:
        pipe = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
        rest = samples.tobytes()
        while not self._closed.wait(0.01):
            rest = rest or bytes(3200)
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # the microphone was unplugged
                break
        os.close(pipe)


@pytest.fixture
def sound_server(tmp_path: Path) -> Iterator[SoundServer]:
    home = tmp_path / "pulse"
    home.mkdir(mode=0o700)
    (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    socket_path, fifo = home / "native", home / "mic.fifo"
    environment = os.environ | {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PULSE_SERVER": f"unix:{socket_path}",
    }
    microphone = f"source_name=mic file={fifo} format=s16le rate=16000 channels=1"
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    command += ["-L", f"module-native-protocol-unix socket={socket_path} auth-anonymous=1"]
    command += ["-L", f"module-pipe-source {microphone}"]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        info = subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False)
        return info.returncode == 0

    try:
        wait_until(answers, "PulseAudio answers")
        subprocess.run(["pactl", "set-default-source", "mic"], env=environment, check=True)
        card = SoundServer(environment, fifo)
        yield card
        card.close()
    finally:
        server.kill()
        server.wait()


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
