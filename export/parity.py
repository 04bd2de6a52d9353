"""Does an exported network say what the Keras one says?"""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.bundle import normalise
from affectd.daemon.emotion.classifier import Network, runtime_interpreter
from affectd.export.convert import ExportError
from affectd.train.encoder import Encoder, demo_speech, frames_of
from affectd.train.examples import Statistics

FLOAT32_LIMIT: Final = 1e-3
LIMIT: Final = 0.1  # of the smaller formats


def difference(network: bytes, frames: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest difference in probability between an exported network and the expected values.

    frames: normalised, shape (n, time, width). expected: shape (n, outputs).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        path.write_bytes(network)
        run = Network(path, frames.shape[1:], expected.shape[1:], runtime_interpreter())
        actual = np.stack([run(one) for one in frames])
    return float(np.abs(actual - expected).max())


def check(name: str, weights: str, difference: float) -> None:
    """Accept a network, or raise ExportError if it strays from Keras; NaN strays too.

    weights: their format. difference: largest one in probability.
    """
    limit = FLOAT32_LIMIT if weights == "float32" else LIMIT
    if not difference < limit:
        raise ExportError(
            f"the exported {name} with {weights} weights differs from Keras by {difference:g} "
            f"in probability, {limit:g} is allowed; it was not written"
        )


def normalised_speech(encoder: Encoder, prior: Statistics) -> NDArray[np.float32]:
    """The utterances of the demo's recordings as the networks read them, (n, time, width)."""
    frames, counts = [], []
    for mfcc, count in demo_speech():
        frames.append(encoder(mfcc, count))
        counts.append(frames_of(count))
    return normalise(np.stack(frames), prior.mean, prior.std, np.array(counts))
