"""The networks in TensorFlow Lite: features in, encoder frames between, reading out."""

import threading
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Array, normalise
from affectd.daemon.emotion.decision import NO_RULES, Reading, Rules, combine, decide
from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import BundleError

# LiteRT is the living runtime; tflite-runtime serves 32-bit ARM, where LiteRT has no wheel.
RUNTIMES: Final = ("ai_edge_litert", "tflite_runtime")


class Classifier:
    """Runs encoder, gate and the chosen networks of a bundle, one after the other.

    Each network runs on the thread of the caller. Several threads may call; they take turns.
    """

    def __init__(
        self,
        folder: Path = bundles.DEFAULT,
        networks: str = "cnn+lstm",
        threshold: float | None = None,
        runtime: str | None = None,
    ) -> None:
        """Load and check the networks.

        networks: names joined by +, as the bundle's calibration names them. threshold: of
        confidence, instead of the bundle's. runtime: one of RUNTIMES, or None for the first
        that is installed. Raises BundleError.
        """
        self._turn = threading.RLock()  # an interpreter is not safe from several threads
        self.bundle = bundles.load(folder)
        self.model = networks
        if networks not in self.bundle.calibration:
            raise BundleError(
                f"{folder / bundles.FILE} has no calibration for {networks}, only for "
                f"{', '.join(self.bundle.calibration)}; set emotion.networks to one of these"
            )
        calibration = self.bundle.calibration[networks]
        self.calibration = (
            calibration if threshold is None else replace(calibration, threshold=threshold)
        )
        interpreter = runtime_interpreter(runtime)
        features, encoder, gate = self.bundle.features, self.bundle.encoder, self.bundle.gate
        mfccs, encoded = (features.n_frames, features.n_mfcc), (encoder.frames, encoder.width)
        self._encoder = Network(folder / encoder.file, mfccs, encoded, interpreter)
        self._networks = [
            Network(
                folder / self.bundle.networks[name].file, encoded, (len(EMOTIONS),), interpreter
            )
            for name in networks.split("+")
        ]
        self._gate = Network(folder / gate.file, encoded, (1,), interpreter)

    def encode(self, features: NDArray[np.float32], frames: int) -> Encoding:
        """Turn the MFCCs of one utterance into encoder frames.

        features: shape (n_frames, n_mfcc). frames: how many of them are speech; the encoder sees
        the others as zeros, whatever they are.
        """
        spoken = features.copy()
        spoken[frames:] = 0
        with self._turn:
            encoded = self._encoder(spoken)
        encoded.flags.writeable = False
        return Encoding(encoded, self.bundle.encoder.count(frames))

    def probabilities(
        self, encoding: Encoding, mean_std: tuple[Array, Array]
    ) -> NDArray[np.float64]:
        """Mean log-probability of the networks, not calibrated, shape (8,).

        mean_std: of the voice, each of shape (encoder.width,).
        """
        normal = normalise(encoding.frames, *mean_std, encoding.count)
        with self._turn:
            return combine([network(normal) for network in self._networks])

    def speech_probability(self, encoding: Encoding) -> float:
        """Probability that an utterance is speech, whoever's, 0..1."""
        prior = np.array(self.bundle.mean), np.array(self.bundle.std)
        normal = normalise(encoding.frames, *prior, encoding.count)
        with self._turn:
            return float(self._gate(normal)[0])

    def read(
        self, encoding: Encoding, mean_std: tuple[Array, Array], rules: Rules = NO_RULES
    ) -> Reading:
        """Read one utterance; mean_std as for `probabilities`."""
        with self._turn:
            probabilities = self.probabilities(encoding, mean_std)
            speech_probability = self.speech_probability(encoding)
        gate = self.bundle.gate.threshold
        return decide(probabilities, self.calibration, speech_probability, gate, rules)

    def forget(self) -> None:
        """Overwrite all that the networks hold of the utterance that was read last."""
        with self._turn:
            for network in (self._encoder, *self._networks, self._gate):
                network.forget()


class Network:
    """One network in one interpreter, checked for the shapes that it takes and gives."""

    def __init__(
        self,
        path: Path,
        takes: tuple[int, ...],
        gives: tuple[int, ...],
        interpreter: Callable[..., Any],
    ) -> None:
        """takes, gives: shapes of what goes in and comes out. Raises BundleError."""
        try:
            self._interpreter = interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{path} is not a network this runtime can run ({error}); export it again"
            ) from error
        entry, exit_ = (
            self._interpreter.get_input_details()[0],
            self._interpreter.get_output_details()[0],
        )
        for what, tensor, expected in (
            ("takes", entry, (1, *takes)),
            ("gives", exit_, (1, *gives)),
        ):
            if tuple(tensor["shape"]) != expected or tensor["dtype"] != np.float32:
                raise BundleError(
                    f"{path} {what} {tensor['dtype'].__name__} of shape "
                    f"{tuple(int(n) for n in tensor['shape'])}, expected float32 of {expected}; "
                    "export it again"
                )
        self._takes, self._input, self._output = takes, entry["index"], exit_["index"]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on values of the shape that it takes."""
        self._interpreter.set_tensor(self._input, values[None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)[0])

    def forget(self) -> None:
        """Overwrite input, output and all between them: zeros in."""
        self(np.zeros(self._takes, np.float32))


def runtime_interpreter(runtime: str | None = None) -> Callable[..., Any]:
    """The interpreter of one of RUNTIMES, or of the first that is installed."""
    for name in RUNTIMES if runtime is None else (runtime,):
        try:
            return import_module(f"{name}.interpreter").Interpreter  # type: ignore[no-any-return]
        except ImportError:
            continue
    raise BundleError(
        "no TensorFlow Lite runtime is installed; install ai-edge-litert, "
        "or tflite-runtime on 32-bit ARM"
    )
