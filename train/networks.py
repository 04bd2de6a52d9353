"""The networks' design: MLP, CNN and LSTM over one utterance of normalised MFCCs."""

from collections.abc import Callable
from typing import Any, Final

import keras
from keras import layers

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.mfcc import FeatureSpec


def mlp(spec: FeatureSpec) -> Any:
    """Two dense layers over the mean of each coefficient: the baseline that hears no order."""
    return keras.Sequential(
        [
            keras.Input((spec.n_frames, spec.n_mfcc)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(len(EMOTIONS), activation="softmax"),
        ],
        name="mlp",
    )


def cnn(spec: FeatureSpec) -> Any:
    """Four convolutions over time, pooled to the mean and the peak of what they found."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    x = sound
    for filters in (64, 96, 128):
        x = _convolution(x, filters)
        x = layers.MaxPooling1D(2)(x)
        x = layers.SpatialDropout1D(0.1)(x)
    x = _convolution(x, 128)
    return keras.Model(sound, _emotions(x), name="cnn")


def lstm(spec: FeatureSpec) -> Any:
    """Two convolutions that thin time to steps of 80 ms, then an LSTM, pooled to mean and peak."""
    sound = keras.Input((spec.n_frames, spec.n_mfcc))
    x = sound
    for filters, thinner in ((64, 2), (96, 4)):
        x = _convolution(x, filters)
        x = layers.MaxPooling1D(thinner)(x)
        x = layers.SpatialDropout1D(0.1)(x)
    x = layers.LSTM(128, return_sequences=True)(x)
    return keras.Model(sound, _emotions(x), name="lstm")


def _convolution(x: Any, filters: int) -> Any:
    x = layers.Conv1D(filters, 5, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)


def _emotions(x: Any) -> Any:
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    x = layers.Dropout(0.5)(x)
    return layers.Dense(len(EMOTIONS), activation="softmax")(x)


NETWORKS: Final[dict[str, Callable[[FeatureSpec], Any]]] = {"mlp": mlp, "cnn": cnn, "lstm": lstm}
