"""Fitting one network to training speakers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from affectd.train.batches import Batches, masked_loss
from affectd.train.examples import Examples, Statistics, statistics
from affectd.train.networks import NETWORKS, joined
from affectd.train.recipe import Recipe

NOTED: Final = 50  # steps whose mean loss is one point of a learning curve


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted network with what it needs to run and how it got there."""

    model: Any
    prior: Statistics  # of the rows it was fitted to
    losses: list[float]  # means of NOTED steps each

    def predict(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (n, 8), of normalised frames."""
        return np.asarray(self.model.predict_on_batch(normalised))


def fit(
    examples: Examples, train: NDArray[np.int64], network: str, recipe: Recipe, seed: int
) -> Fitted:
    """Fit one network to the rows in train; the mean of its weights over the last steps is kept.

    Normalisation, sampling and voices see the training rows alone.
    """
    if not recipe.virtual:
        train = train[examples.condition[train] == 0]
    prior = statistics(examples, train)
    keras.utils.set_random_seed(seed)
    batches = Batches(examples, train, prior, recipe, seed)
    _, frames, width = examples.frames.shape
    model = NETWORKS[network]((frames, width), recipe)
    model.compile(optimizer(recipe), masked_loss)
    losses = run_steps(model, batches.draw, recipe.steps)
    if recipe.averaging:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return Fitted(joined(model), prior, losses)


def run_steps(model: Any, draw: Callable[[], tuple[Any, Any]], steps: int) -> list[float]:
    """Fit a compiled model to so many batches, and return the mean losses of NOTED steps each.

    A plain loop: `Model.fit` hands batches through a thread, which costs as much again where all
    cores are fitting.
    """
    losses = []
    for _ in range(steps):
        model.reset_metrics()  # so that the loss is that of this batch alone
        losses.append(float(model.train_on_batch(*draw())))
    return [float(np.mean(losses[at : at + NOTED])) for at in range(0, steps, NOTED)]


def optimizer(recipe: Recipe) -> Any:
    """AdamW that falls to a rate of 0 and keeps a mean of the weights, as a recipe says."""
    return keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.steps),
        weight_decay=recipe.weight_decay,
        use_ema=recipe.averaging > 0,
        ema_momentum=recipe.averaging or 0.99,
        ema_overwrite_frequency=None,
    )
