"""Does an exported network say what the Keras one says?"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import Network, runtime_interpreter
from affectd.export.convert import ExportError

FLOAT32_LIMIT: Final = 1e-3
LIMIT: Final = 0.1  # of the smaller formats
TIMED: Final = 50


def keras_probabilities(keras_file: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What Keras says, (n, 8) or (n, 1), of normalised features, (n, n_frames, n_mfcc)."""
    import keras

    from affectd.train import networks  # noqa: F401 -- Keras finds its layers by this

    model = keras.models.load_model(keras_file, compile=False)
    return np.asarray(model.predict(features, batch_size=64, verbose=0))


def difference(
    network: bytes, features: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    """Largest difference in probability between an exported network and the expected values."""
    actual = probabilities(network, features, expected.shape[1])
    return float(np.abs(actual - expected).max())


def probabilities(
    network: bytes, features: NDArray[np.float32], outputs: int
) -> NDArray[np.float32]:
    """What an exported network says, shape (n, outputs), of normalised features."""
    with _running(network, features, outputs) as run:
        return np.stack([run(one) for one in features])


def inference_ms(network: bytes, features: NDArray[np.float32], outputs: int = 8) -> float:
    """Median time of one inference on one thread, in milliseconds, over some of the features."""
    with _running(network, features, outputs) as run:
        times = []
        for one in features[:TIMED]:
            began = time.perf_counter()
            run(one)
            times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


@contextmanager
def _running(network: bytes, features: NDArray[np.float32], outputs: int) -> Iterator[Network]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        path.write_bytes(network)
        yield Network(path, (features.shape[1], features.shape[2]), runtime_interpreter(), outputs)


def check(name: str, parity: Mapping[str, float], weights: str) -> None:
    """Accept a network, or raise ExportError if it strays from Keras; NaN strays too.

    parity: format -> largest difference in probability. weights: the format that is written.
    """
    for form, limit in (("float32", FLOAT32_LIMIT), (weights, LIMIT)):
        if not parity[form] < limit:
            raise ExportError(
                f"the exported {name} with {form} weights differs from Keras by {parity[form]:g} "
                f"in probability, {limit:g} is allowed; it was not written"
            )
