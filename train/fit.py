"""Fitting one network to training actors, watched on validation actors."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from affectd.daemon.emotion.decision import combine
from affectd.train.adaptation import Adaptation
from affectd.train.batches import Batches, masked_loss
from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.networks import NETWORKS, joined
from affectd.train.recipe import Recipe

WATCHED_HEARD: Final = 20  # utterances heard of a voice before, on the learning curves
WATCHED_EVERY: Final = 5  # epochs
TEACHERS: Final = ("cnn", "lstm")  # that a network is distilled from


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted network with what it needs to run and how it got there."""

    model: Any
    prior: Statistics  # of the rows it was fitted to
    curves: dict[str, list[float]]  # loss of each epoch; val_uar of each WATCHED_EVERY-th

    def predict(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (n, 8), of normalised features."""
        return np.asarray(self.model.predict(normalised, batch_size=128, verbose=0))


def fit(
    examples: Examples,
    train: NDArray[np.int64],
    validation: NDArray[np.int64] | None,
    network: str,
    recipe: Recipe,
    seed: int,
) -> Fitted:
    """Fit one network to the rows in train; the mean of its weights over the last steps is kept.

    Normalisation, balancing and voices see the training rows alone. The rows in validation are
    only watched: nothing of this fit depends on them.
    Raises ValueError if a speaker is in both parts.
    """
    if validation is not None:
        shared = set(examples.speaker[train]) & set(examples.speaker[validation])
        if shared:
            raise ValueError(f"{sorted(shared)} are in training and validation")
    train = learnt(examples, train, recipe)
    prior = statistics(examples, train)
    teach = _teacher(examples, train, recipe, seed) if recipe.distil else None
    keras.utils.set_random_seed(seed)
    batches = Batches(examples, train, prior, recipe, seed, teach)
    model = NETWORKS[network](examples.spec, recipe)
    model.compile(_optimizer(recipe, len(batches)), masked_loss)
    together = joined(model)
    watched = _Watched(examples, validation, prior)
    curves: dict[str, list[float]] = {"loss": [], "val_uar": []}
    for epoch in range(1, recipe.epochs + 1):
        curves["loss"].append(one_epoch(model, batches))
        if watched and epoch % WATCHED_EVERY == 0:
            curves["val_uar"].append(watched.uar(together))
    if recipe.averaging:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return Fitted(together, prior, curves)


def learnt(examples: Examples, rows: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """Those of the rows that a recipe learns from."""
    if not recipe.virtual:
        rows = rows[examples.condition[rows] == 0]
    if not recipe.others:
        rows = rows[examples.corpus[rows] == examples.clips[0].corpus]
    return rows


def _teacher(
    examples: Examples, train: NDArray[np.int64], recipe: Recipe, seed: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Fit the TEACHERS to the same rows; return what they say together of a batch.

    Source: Hinton, Vinyals & Dean (2015), Distilling the Knowledge in a Neural Network.
    """
    alone = replace(recipe, distil=0.0)
    fitted = [fit(examples, train, None, name, alone, seed + 1000).model for name in TEACHERS]
    return lambda x: combine([np.asarray(m.predict_on_batch(x), np.float64) for m in fitted])


def one_epoch(model: Any, batches: Any) -> float:
    """Fit a compiled model to each batch once, and return the mean loss.

    A plain loop: `Model.fit` hands batches through a thread, which costs as much again where all
    cores are fitting.
    """
    losses = []
    for index in range(len(batches)):
        model.reset_metrics()  # so that the loss is that of this batch alone
        losses.append(float(model.train_on_batch(*batches[index])))
    batches.on_epoch_end()
    return float(np.mean(losses))


def _optimizer(recipe: Recipe, steps: int) -> Any:
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.epochs * steps)
    return keras.optimizers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        use_ema=recipe.averaging > 0,
        ema_momentum=recipe.averaging or 0.99,
        ema_overwrite_frequency=None,
    )


class _Watched:
    """Validation utterances, whose UAR is measured every few epochs; false if there are none."""

    def __init__(
        self, examples: Examples, rows: NDArray[np.int64] | None, prior: Statistics
    ) -> None:
        self._rows = np.empty(0, np.int64) if rows is None else rows
        if self:
            self._y = examples.emotion[self._rows]
            self._x = Adaptation(examples, self._rows, prior).normalised(
                self._rows,
                np.full(len(self._rows), WATCHED_HEARD),
                np.zeros(len(self._rows), bool),
                np.random.default_rng(0),
            )

    def __bool__(self) -> bool:
        return self._rows.size > 0

    def uar(self, model: Any) -> float:
        p = model.predict(self._x, batch_size=128, verbose=0)
        return float(recall_score(self._y, p.argmax(1), average="macro"))
