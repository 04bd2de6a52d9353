"""Fitting one network to training actors, chosen on validation actors."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from imblearn.over_sampling import RandomOverSampler
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.networks import NETWORKS


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a network is fitted."""

    network: str
    seed: int
    epochs: int = 45
    batch: int = 32
    learning_rate: float = 1e-3  # at the start; falls to 0 along a half cosine
    label_smoothing: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted network with what it needs to run and how it got there."""

    model: Any
    statistics: Statistics
    curves: dict[str, list[float]]  # one value an epoch: loss, accuracy, val_loss, val_uar
    best_epoch: int  # from 1; the one whose weights these are

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (n, 8), of features that are not normalised."""
        normal = self.statistics.normalise(features)
        return np.asarray(self.model.predict(normal, batch_size=128, verbose=0))


def fit(
    examples: Examples,
    train: NDArray[np.int64],
    validation: NDArray[np.int64] | None,
    config: FitConfig,
    on_epoch: Callable[[], None] = lambda: None,
) -> Fitted:
    """Fit one network to the rows in train and keep the epoch that is best on those in validation.

    Normalisation and oversampling see the training rows alone. Without validation rows the last
    epoch is kept.
    Raises ValueError if an actor is in both parts.
    """
    if validation is not None:
        shared = set(examples.actor[train]) & set(examples.actor[validation])
        if shared:
            raise ValueError(f"actors {sorted(shared)} are in training and validation")
    keras.utils.set_random_seed(config.seed)
    measured = statistics(examples, train)
    balanced = _oversampled(examples.emotion[train], config.seed)
    x = measured.normalise(examples.features[train])[balanced]
    y = np.eye(len(EMOTIONS), dtype=np.float32)[examples.emotion[train][balanced]]
    model = NETWORKS[config.network](examples.spec)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                config.learning_rate, config.epochs * math.ceil(len(x) / config.batch)
            )
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )
    watcher = _watcher(examples, validation, measured, on_epoch)
    history = model.fit(
        x, y, batch_size=config.batch, epochs=config.epochs, verbose=0, callbacks=[watcher]
    )
    curves = {name: [float(v) for v in values] for name, values in history.history.items()}
    return Fitted(model, measured, curves, watcher.best_epoch or config.epochs)


def _oversampled(emotion: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows in which every emotion is as frequent as the most frequent one."""
    rows = np.arange(len(emotion))[:, None]
    drawn, _ = RandomOverSampler(random_state=seed).fit_resample(rows, emotion)
    return np.asarray(drawn[:, 0])


def _watcher(
    examples: Examples,
    validation: NDArray[np.int64] | None,
    measured: Statistics,
    on_epoch: Callable[[], None],
) -> "_Watcher":
    if validation is None:
        return _Watcher(None, None, on_epoch)
    x = measured.normalise(examples.features[validation])
    return _Watcher(x, examples.emotion[validation], on_epoch)


class _Watcher(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures validation UAR each epoch and restores the best weights at the end."""

    def __init__(
        self,
        x: NDArray[np.float32] | None,
        y: NDArray[np.int64] | None,
        on_epoch: Callable[[], None],
    ) -> None:
        super().__init__()
        self._x, self._y, self._on_epoch = x, y, on_epoch
        self._best, self._weights = -1.0, None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._on_epoch()
        if self._x is None or self._y is None:
            return
        p = self.model.predict(self._x, batch_size=256, verbose=0)
        uar = float(recall_score(self._y, p.argmax(1), average="macro", zero_division=0))
        logs["val_uar"] = uar
        logs["val_loss"] = float(-np.log(np.maximum(p[np.arange(len(p)), self._y], 1e-12)).mean())
        if uar > self._best:
            self._best, self.best_epoch = uar, epoch + 1
            self._weights = self.model.get_weights()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        if self._weights is not None:
            self.model.set_weights(self._weights)
