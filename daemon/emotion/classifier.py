"""The networks in TensorFlow Lite: features in, reading out."""

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
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import BundleError

# LiteRT is the living runtime; tflite-runtime serves 32-bit ARM, where LiteRT has no wheel.
RUNTIMES: Final = ("ai_edge_litert", "tflite_runtime")


class Classifier:
    """Runs the gate and the chosen networks of a bundle, one thread each, one after the other.

    read() may be called from several threads, which take turns.
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
        self._turn = threading.Lock()  # an interpreter is not safe from several threads
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
        self._networks = [
            Network(folder / self.bundle.networks[name].file, self._shape, interpreter)
            for name in networks.split("+")
        ]
        self._gate = Network(folder / self.bundle.gate.file, self._shape, interpreter, outputs=1)

    def probabilities(
        self, features: NDArray[np.float32], frames: int, mean_std: tuple[Array, Array]
    ) -> NDArray[np.float64]:
        """Mean log-probability of the networks, not calibrated, shape (8,).

        features: shape (n_frames, n_mfcc), not normalised. frames: how many of them are speech.
        mean_std: of the voice, each of shape (n_mfcc,).
        """
        normal = normalise(features, *mean_std, frames)
        return combine([network(normal) for network in self._networks])

    def speech_probability(self, features: NDArray[np.float32], frames: int) -> float:
        """Probability that an utterance is speech, whoever's; arguments as above."""
        prior = np.array(self.bundle.mean), np.array(self.bundle.std)
        return float(self._gate(normalise(features, *prior, frames))[0])

    def read(
        self,
        features: NDArray[np.float32],
        frames: int,
        mean_std: tuple[Array, Array],
        rules: Rules = NO_RULES,
    ) -> Reading:
        """Read one utterance; arguments as above."""
        with self._turn:
            probabilities = self.probabilities(features, frames, mean_std)
            speech_probability = self.speech_probability(features, frames)
        gate = self.bundle.gate.threshold
        return decide(probabilities, self.calibration, speech_probability, gate, rules)

    def forget(self) -> None:
        """Overwrite what the networks hold of the utterance that was read last."""
        with self._turn:
            for network in (*self._networks, self._gate):
                network(np.zeros(self._shape, np.float32))

    @property
    def _shape(self) -> tuple[int, int]:
        return self.bundle.features.n_frames, self.bundle.features.n_mfcc


class Network:
    """One network in one interpreter, checked for the shapes that are fed and read."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        interpreter: Callable[..., Any],
        outputs: int = len(EMOTIONS),
    ) -> None:
        """shape: of the features; outputs: how many probabilities. Raises BundleError."""
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
            ("takes", entry, (1, *shape)),
            ("gives", exit_, (1, outputs)),
        ):
            if tuple(tensor["shape"]) != expected or tensor["dtype"] != np.float32:
                raise BundleError(
                    f"{path} {what} {tensor['dtype'].__name__} of shape "
                    f"{tuple(int(n) for n in tensor['shape'])}, expected float32 of {expected}; "
                    "export it again"
                )
        self._input, self._output = entry["index"], exit_["index"]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (outputs,), of normalised features, shape (n_frames, n_mfcc)."""
        self._interpreter.set_tensor(self._input, features[None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)[0])


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
