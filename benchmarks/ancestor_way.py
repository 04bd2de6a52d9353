"""The ancestor's way over a recording, 3 s at a time; prints its costs as one JSON object."""

import json
import sys
import time

BEGAN = time.perf_counter()

import keras
import librosa
import numpy as np
from numpy.typing import NDArray

from affectd.train.ancestor import _cnn

PIECE_S = 3.0


def predict(model: keras.Model, path: str, offset: float) -> NDArray[np.float32]:
    """librosa.load, mean of 40 MFCCs over time, Keras predict."""
    pcm, rate_hz = librosa.load(path, offset=offset, duration=PIECE_S)
    means = librosa.feature.mfcc(y=pcm, sr=rate_hz, n_mfcc=40).mean(axis=1)
    return np.asarray(model.predict(means[None], verbose=0))


def main(path: str) -> None:
    """Predict once to be ready, then every piece."""
    model = _cnn(keras)
    predict(model, path, 0.0)
    start_s = time.perf_counter() - BEGAN
    pieces = int(librosa.get_duration(path=path) // PIECE_S)
    latencies, wall, cpu = [], time.perf_counter(), time.process_time()
    for piece in range(pieces):
        asked = time.perf_counter()
        predict(model, path, piece * PIECE_S)
        latencies.append(1000 * (time.perf_counter() - asked))
    costs = {
        "start_s": start_s,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "latencies_ms": latencies,
    }
    print(json.dumps(costs))


if __name__ == "__main__":
    main(sys.argv[1])
