"""The networks' design: MLP, CNN and LSTM over the normalised frames of one utterance.

They read frames of the encoder, and for comparison MFCCs. Frames of zeros are padding: CNN and LSTM
leave them out of their pooling over time. CNN and LSTM have several members that share their first
layers; each is fitted as if it were alone, and together they answer.
Source: Lee et al. (2015), Why M Heads are Better than One.
"""

from collections.abc import Callable
from typing import Any, Final

import keras
from keras import layers, ops

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.recipe import Recipe


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


def mlp(shape: tuple[int, int], recipe: Recipe) -> Any:
    """Two dense layers over the mean of each coefficient: the baseline that hears no order."""
    sound = keras.Input(shape)
    x = layers.GlobalAveragePooling1D()(sound)
    for units in (256, 128):
        x = layers.Dropout(recipe.dropout)(layers.Dense(units, activation="relu")(x))
    return _members(sound, [layers.Dense(len(EMOTIONS), activation="softmax")(x)], "mlp")


def cnn(shape: tuple[int, int], recipe: Recipe) -> Any:
    """Residual dilated convolutions over time, and attention."""
    sound = keras.Input(shape)
    heard, spoken, whole = _heard(sound, recipe)
    answers = []
    for _ in range(recipe.members):
        x = heard
        for dilation in (1, 2):
            y = layers.Conv1D(
                recipe.width, 3, padding="same", dilation_rate=dilation, use_bias=False
            )(x)
            x = layers.Add()([x, activated(y)])
        answers.append(_emotions(x, spoken, whole, recipe))
    return _members(sound, answers, "cnn")


def lstm(shape: tuple[int, int], recipe: Recipe) -> Any:
    """An LSTM both ways, and attention."""
    sound = keras.Input(shape)
    heard, spoken, whole = _heard(sound, recipe)
    answers = []
    for _ in range(recipe.members):
        memory = layers.LSTM(recipe.units, return_sequences=True)
        answers.append(_emotions(layers.Bidirectional(memory)(heard), spoken, whole, recipe))
    return _members(sound, answers, "lstm")


def _heard(sound: Any, recipe: Recipe) -> tuple[Any, Any, Any]:
    """What CNN and LSTM begin with, of frames (n, t, c).

    Every two frames brought together to few channels, (n, t / 2, width); which of these are speech,
    (n, t / 2, 1); and mean and deviation of each coefficient over the whole utterance, (n, 2 c).
    """
    spoken = Spoken()(sound)
    x = layers.SpatialDropout1D(recipe.input_dropout)(sound)
    whole = layers.BatchNormalization()(AttentivePooling(0)([x, spoken]))
    x = layers.AveragePooling1D(2, padding="same")(x)
    spoken = layers.MaxPooling1D(2, padding="same")(spoken)
    x = activated(layers.Conv1D(recipe.width, 1, use_bias=False)(x))
    return layers.Multiply()([x, spoken]), spoken, whole


def activated(x: Any) -> Any:
    """Normalise over the batch and cut off below 0."""
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _emotions(x: Any, spoken: Any, whole: Any, recipe: Recipe) -> Any:
    x = layers.BatchNormalization()(AttentivePooling(recipe.attention)([x, spoken]))
    x = layers.Dropout(recipe.dropout)(layers.Concatenate()([x, whole]))
    return layers.Dense(len(EMOTIONS), activation="softmax")(x)


def _members(sound: Any, answers: list[Any], name: str) -> Any:
    """Several answers to one sound side by side: (n, t, c) -> (n, members, 8)."""
    stacked = [layers.Reshape((1, len(EMOTIONS)))(answer) for answer in answers]
    together = layers.Concatenate(axis=1)(stacked) if len(stacked) > 1 else stacked[0]
    return keras.Model(sound, together, name=name)


NETWORKS: Final[dict[str, Callable[[tuple[int, int], Recipe], Any]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
}
