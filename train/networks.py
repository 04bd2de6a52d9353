"""The networks' design: MLP, CNN and LSTM over one utterance of normalised MFCCs.

Frames of zeros are padding: they are left out of every pooling over time. CNN and LSTM have several
members that share their first layers; each is fitted as if it were alone, and together they answer.
Source: Lee et al. (2015), Why M Heads are Better than One.
"""

from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train.recipe import Recipe

BANDS: Final = 40


@keras.saving.register_keras_serializable("affectd")
class Spoken(layers.Layer):  # type: ignore[misc]
    """Which frames are speech: (n, t, c) -> (n, t, 1), 1 where a frame is not all zeros."""

    def call(self, x: Any) -> Any:
        """Compare the largest magnitude of each frame with zero."""
        return ops.cast(ops.max(ops.abs(x), axis=-1, keepdims=True) > 0, x.dtype)


@keras.saving.register_keras_serializable("affectd")
class AttentivePooling(layers.Layer):  # type: ignore[misc]
    """Weighted mean and deviation over time: (n, t, c), (n, t, 1) -> (n, 2 c).

    Each channel has weights of its own; with hidden 0 all frames of speech weigh the same.
    Source: Okabe, Koshinaka & Shinoda (2018), Attentive Statistics Pooling for Deep Speaker
    Embedding.
    """

    def __init__(self, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, shapes: Any) -> None:
        """Make the weights of the attention."""
        if not self.hidden:
            return
        channels = shapes[0][-1]
        self.key = layers.Dense(self.hidden, activation="tanh")
        self.query = layers.Dense(channels)
        self.key.build(shapes[0])
        self.query.build((*shapes[0][:-1], self.hidden))

    def call(self, inputs: Any) -> Any:
        """Pool the frames that are speech."""
        x, spoken = inputs
        attention = self.query(self.key(x)) if self.hidden else 0.0
        weights = ops.softmax(attention - 30 * (1 - spoken), axis=1)
        mean = ops.sum(weights * x, axis=1)
        variance = ops.sum(weights * ops.square(x), axis=1) - ops.square(mean)
        return ops.concatenate([mean, ops.sqrt(ops.maximum(variance, 1e-4))], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable("affectd")
class MeanLog(layers.Layer):  # type: ignore[misc]
    """What several say together: probabilities (n, members, 8) -> (n, 8); see `combine`."""

    def call(self, p: Any) -> Any:
        """Normalise the exponential of the mean logarithm."""
        return ops.softmax(ops.mean(ops.log(ops.maximum(p, 1e-7)), axis=1))


def joined(network: Any) -> Any:
    """The members of a network as one network, (n, t, c) -> (n, 8), with the same weights."""
    return keras.Model(network.input, MeanLog()(network.output), name=network.name)


def mlp(spec: FeatureSpec, recipe: Recipe) -> Any:
    """Two dense layers over the mean of each coefficient: the baseline that hears no order."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    x = layers.GlobalAveragePooling1D()(sound)
    for units in (256, 128):
        x = layers.Dropout(recipe.dropout)(layers.Dense(units, activation="relu")(x))
    return _members(sound, [layers.Dense(len(EMOTIONS), activation="softmax")(x)], "mlp")


def cnn(spec: FeatureSpec, recipe: Recipe) -> Any:
    """Convolutions over time and bands, then residual dilated ones over time, and attention."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    heard, spoken = _heard(sound, spec, recipe)
    answers = []
    for _ in range(recipe.members):
        x = heard
        for dilation in (1, 2, 4):
            y = _over_time(recipe, dilation if recipe.dilated else 1)(x)
            x = layers.Add()([x, _activated(y)])
        answers.append(_emotions(x, spoken, recipe))
    return _members(sound, answers, "cnn")


def lstm(spec: FeatureSpec, recipe: Recipe) -> Any:
    """Convolutions over time and bands, then an LSTM both ways in steps of 80 ms, and attention."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    heard, spoken = _heard(sound, spec, recipe)
    heard, spoken = layers.MaxPooling1D(2)(heard), layers.MaxPooling1D(2)(spoken)
    answers = []
    for _ in range(recipe.members):
        memory = layers.LSTM(recipe.units, return_sequences=True)
        x = (layers.Bidirectional(memory) if recipe.both_ways else memory)(heard)
        answers.append(_emotions(x, spoken, recipe))
    return _members(sound, answers, "lstm")


def _heard(sound: Any, spec: FeatureSpec, recipe: Recipe) -> tuple[Any, Any]:
    """Undo the cosine transform, and convolve over time and bands: (n, t / 4, width), and speech.

    In bands a higher voice or another vowel is the same pattern elsewhere, so that what was
    learnt at one place serves at all; in coefficients it is not.
    """
    spoken = Spoken()(sound)
    x = _bands(spec)(sound)
    x = layers.Reshape((spec.n_frames, BANDS, 1))(x)
    if recipe.deltas:
        x = layers.Concatenate()([x, _movement(x)])
    x = _activated(_convolution(recipe.filters, (5, 5), (2, 2))(x))
    x = _activated(_convolution(2 * recipe.filters, (3, 3), (2, 2))(x))
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = _activated(layers.Conv1D(recipe.width, 1, use_bias=False)(x))
    return x, layers.MaxPooling1D(4, padding="same")(spoken)


def _bands(spec: FeatureSpec) -> Any:
    """A dense layer that begins as the inverse of the cosine transform, at 40 bands."""
    places, orders = np.arange(BANDS), np.arange(spec.n_mfcc)
    cosine = np.cos(np.pi * np.outer(orders, 2 * places + 1) / (2 * BANDS))
    # Coefficients come with unit variance; in speech their deviation falls about like this.
    falling = np.sqrt(2 / BANDS) * 1.5 / (1 + orders[:, None])
    return layers.Dense(
        BANDS, use_bias=False, kernel_initializer=keras.initializers.Constant(cosine * falling)
    )


def _convolution(filters: int, kernel: tuple[int, int], strides: tuple[int, int]) -> Any:
    return layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)


def _movement(x: Any) -> Any:
    """The difference of each frame's neighbours, (n, t, bands, 1): same shape."""
    padded = layers.ZeroPadding2D(((1, 1), (0, 0)))(x)
    later, earlier = layers.Cropping2D(((2, 0), (0, 0))), layers.Cropping2D(((0, 2), (0, 0)))
    return layers.Subtract()([later(padded), earlier(padded)])


def _over_time(recipe: Recipe, dilation: int) -> Any:
    convolution = layers.SeparableConv1D if recipe.separable else layers.Conv1D
    return convolution(recipe.width, 3, padding="same", dilation_rate=dilation, use_bias=False)


def _activated(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _emotions(x: Any, spoken: Any, recipe: Recipe) -> Any:
    x = AttentivePooling(64 if recipe.attention else 0)([x, spoken])
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(recipe.dropout)(x)
    return layers.Dense(len(EMOTIONS), activation="softmax")(x)


def _members(sound: Any, answers: list[Any], name: str) -> Any:
    """Several answers to one sound side by side: (n, t, c) -> (n, members, 8)."""
    stacked = [layers.Reshape((1, len(EMOTIONS)))(answer) for answer in answers]
    together = layers.Concatenate(axis=1)(stacked) if len(stacked) > 1 else stacked[0]
    return keras.Model(sound, together, name=name)


NETWORKS: Final[dict[str, Callable[[FeatureSpec, Recipe], Any]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
}
