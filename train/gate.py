"""The speech gate: a small network that tells speech from what else passes the voice detector."""

from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from affectd.daemon.emotion.bundle import normalise
from affectd.train.examples import Examples, Statistics
from affectd.train.fit import optimizer, run_steps
from affectd.train.networks import AttentivePooling, Spoken, activated
from affectd.train.recipe import Recipe

BATCH: Final = 32
ASKED: Final = 256  # utterances that are normalised at once
WIDTH: Final = 64  # channels of the convolutions


def network(shape: tuple[int, ...]) -> Any:
    """The frames of an utterance, (n, time, width) -> the probability of speech, (n, 1).

    Two convolutions at steps of 80 ms, over few channels into which the encoder's are brought
    together, and attention.
    """
    sound = keras.Input(shape)
    spoken = Spoken()(sound)
    x = layers.SpatialDropout1D(0.2)(sound)
    x = layers.Multiply()([activated(layers.Conv1D(WIDTH, 1, use_bias=False)(x)), spoken])
    x = activated(layers.Conv1D(WIDTH, 5, strides=2, padding="same", use_bias=False)(x))
    spoken = layers.MaxPooling1D(2, padding="same")(spoken)
    x = activated(layers.Conv1D(WIDTH, 3, padding="same", use_bias=False)(x))
    x = layers.Dropout(0.3)(AttentivePooling(32)([x, spoken]))
    return keras.Model(sound, layers.Dense(1, activation="sigmoid")(x), name="speech")


def fit(
    speech: Examples,
    speech_rows: NDArray[np.int64],
    noise: Examples,
    noise_rows: NDArray[np.int64],
    prior: Statistics,
    steps: int,
    seed: int,
) -> Any:
    """Fit the gate to so many batches of rows of speech and of noise, as many of each in all."""
    keras.utils.set_random_seed(seed)
    model = network(speech.frames.shape[1:])
    recipe = Recipe(steps=steps, learning_rate=1e-3, averaging=0.99)
    model.compile(optimizer(recipe), "binary_crossentropy")
    pairs = _Pairs(speech, speech_rows, noise, noise_rows, prior, seed)
    run_steps(model, pairs.draw, steps)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def probabilities(
    model: Any, examples: Examples, rows: NDArray[np.int64], prior: Statistics
) -> NDArray[np.float64]:
    """Probability that each row is speech, shape (n,)."""
    p = np.empty(len(rows))
    for start in range(0, len(rows), ASKED):
        here = slice(start, start + ASKED)
        p[here] = model.predict_on_batch(_normalised(examples, rows[here], prior))[:, 0]
    return p


def _normalised(
    examples: Examples, rows: NDArray[np.int64], prior: Statistics
) -> NDArray[np.float32]:
    frames = examples.frames[rows].astype(np.float32)
    return normalise(frames, prior.mean, prior.std, examples.count[rows])


class _Pairs:
    """Batches half of noise and half of speech, in each of which all corpora are as frequent."""

    def __init__(
        self,
        speech: Examples,
        speech_rows: NDArray[np.int64],
        noise: Examples,
        noise_rows: NDArray[np.int64],
        prior: Statistics,
        seed: int,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._prior = prior
        self._sides = [
            (
                examples,
                [rows[examples.corpus[rows] == name] for name in np.unique(examples.corpus[rows])],
            )
            for examples, rows in ((noise, noise_rows), (speech, speech_rows))
        ]

    def draw(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Frames, shape (batch, time, width), and whether they are speech, shape (batch, 1)."""
        x = [
            _normalised(examples, self._drawn(corpora), self._prior)
            for examples, corpora in self._sides
        ]
        y = np.repeat([0.0, 1.0], BATCH // 2)[:, None].astype(np.float32)
        return np.concatenate(x), y

    def _drawn(self, corpora: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        chosen = self._random.integers(len(corpora), size=BATCH // 2)
        return np.array([self._random.choice(corpora[one]) for one in chosen])
