"""Fitting one network to training actors, watched on validation actors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from affectd.train.adaptation import Adaptation
from affectd.train.batches import Batches, masked_loss
from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.networks import NETWORKS
from affectd.train.recipe import Recipe

WATCHED_HEARD: Final = 20  # utterances heard of a voice before, on the learning curves
WATCHED_EVERY: Final = 5  # epochs


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
    on_epoch: Callable[[], None] = lambda: None,
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
    keras.utils.set_random_seed(seed)
    prior = statistics(examples, train)
    batches = Batches(examples, train, prior, recipe, seed)
    model = NETWORKS[network](examples.spec, recipe)
    model.compile(_optimizer(recipe, len(batches)), masked_loss)
    watcher = _Watcher(examples, validation, prior, on_epoch)
    history = model.fit(batches, epochs=recipe.epochs, verbose=0, callbacks=[watcher])
    curves = {"loss": [float(loss) for loss in history.history["loss"]], "val_uar": watcher.uars}
    return Fitted(model, prior, curves)


def _optimizer(recipe: Recipe, steps: int) -> Any:
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.epochs * steps)
    return keras.optimizers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        use_ema=recipe.averaging > 0,
        ema_momentum=recipe.averaging or 0.99,
        ema_overwrite_frequency=None,
    )


class _Watcher(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures the UAR of validation utterances every few epochs."""

    def __init__(
        self,
        examples: Examples,
        rows: NDArray[np.int64] | None,
        prior: Statistics,
        on_epoch: Callable[[], None],
    ) -> None:
        super().__init__()
        self._on_epoch, self.uars = on_epoch, list[float]()
        if rows is None or not rows.size:
            self._x = None
            return
        self._y = examples.emotion[rows]
        self._x = Adaptation(examples, rows, prior).normalised(
            rows,
            np.full(len(rows), WATCHED_HEARD),
            np.zeros(len(rows), bool),
            np.random.default_rng(0),
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._on_epoch()
        if self._x is not None and (epoch + 1) % WATCHED_EVERY == 0:
            p = self.model.predict(self._x, batch_size=128, verbose=0)
            self.uars.append(float(recall_score(self._y, p.argmax(1), average="macro")))
