"""Does an exported network say what the Keras one says?"""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import Network, runtime_interpreter
from affectd.export.convert import ExportError

FLOAT32_LIMIT: Final = 1e-3


def keras_probabilities(keras_file: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What Keras says, shape (n, 8), of normalised features, shape (n, n_frames, n_mfcc)."""
    import keras

    model = keras.models.load_model(keras_file)
    return np.asarray(model.predict(features, batch_size=64, verbose=0))


def difference(
    network: bytes, features: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    """Largest difference in probability between an exported network and the expected values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        path.write_bytes(network)
        run = Network(path, (features.shape[1], features.shape[2]), runtime_interpreter())
        actual = np.stack([run(one) for one in features])
    return float(np.abs(actual - expected).max())


def check_float32(name: str, measured: float) -> None:
    """Accept a float32 network, or raise ExportError if it strays; NaN strays too."""
    if not measured < FLOAT32_LIMIT:
        raise ExportError(
            f"the exported {name} differs from Keras by {measured:g} in probability, "
            f"more than {FLOAT32_LIMIT:g}; it was not written"
        )
