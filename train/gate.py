"""The speech gate: a small network that tells speech from what else passes the voice detector."""

from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from affectd.daemon.emotion.bundle import normalise
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train.examples import Examples, Statistics
from affectd.train.fit import one_epoch
from affectd.train.networks import AttentivePooling, Spoken

STEPS: Final = 150  # an epoch
BATCH: Final = 32
GAIN_STD_DB: Final = 10.0  # of the level at random, so that it is not learnt


def network(spec: FeatureSpec) -> Any:
    """Three strided convolutions over time, pooled by attention to one probability."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    spoken = Spoken()(sound)
    x = sound
    for filters, kernel in ((48, 5), (64, 5), (64, 3)):
        x = layers.Conv1D(filters, kernel, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        spoken = layers.MaxPooling1D(2, padding="same")(spoken)
    x = layers.Dropout(0.3)(AttentivePooling(32)([x, spoken]))
    return keras.Model(sound, layers.Dense(1, activation="sigmoid")(x), name="speech")


def fit(
    speech: Examples,
    speech_rows: NDArray[np.int64],
    noise: Examples,
    noise_rows: NDArray[np.int64],
    prior: Statistics,
    epochs: int,
    seed: int,
) -> Any:
    """Fit the gate to rows of speech and of noise, as many of each in every batch."""
    keras.utils.set_random_seed(seed)
    model = network(speech.spec)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * STEPS)
    model.compile(
        keras.optimizers.AdamW(rate, use_ema=True, ema_momentum=0.99, ema_overwrite_frequency=None),
        "binary_crossentropy",
    )
    pairs = _Pairs(speech, speech_rows, noise, noise_rows, prior, seed)
    for _ in range(epochs):
        one_epoch(model, pairs)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def probabilities(
    model: Any, examples: Examples, rows: NDArray[np.int64], prior: Statistics
) -> NDArray[np.float64]:
    """Probability that each row is speech, shape (n,)."""
    x = normalise(examples.features[rows], prior.mean, prior.std, examples.frames[rows])
    return np.asarray(model.predict(x, batch_size=128, verbose=0)[:, 0], np.float64)


class _Pairs:
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

    def __len__(self) -> int:
        return STEPS

    def on_epoch_end(self) -> None:
        """Each batch is drawn when it is asked for."""

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features, frames = [], []
        for examples, corpora in self._sides:
            for _ in range(BATCH // 2):
                corpus = corpora[self._random.integers(len(corpora))]
                row = self._random.choice(corpus)
                features.append(examples.features[row])
                frames.append(examples.frames[row])
        x = np.array(features)
        gain_db = GAIN_STD_DB * self._random.normal(size=(len(x), 1))
        x[:, :, 0] += gain_db * np.sqrt(self._sides[0][0].spec.n_mels)
        y = np.repeat([0.0, 1.0], BATCH // 2).astype(np.float32)
        return normalise(x, self._prior.mean, self._prior.std, np.array(frames)), y
