"""What each ingredient of the recipe brings, measured on validation speakers alone."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from affectd.train.evaluate import validation_uar
from affectd.train.fits import Data, Run
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe
from affectd.train.runs import RunConfig, run_all

# One ingredient changed at a time; the first is the recipe itself.
CHANGES: Final[dict[str, dict[str, str]]] = {
    "the recipe": {},
    "without virtual voices": {"virtual": "0"},
    "without voice adaptation": {"adaptation": "False"},
    "without other corpora": {"others": "0"},
    "without masked bands and pauses": {"bands": "0", "pauses": "0"},
    "without label smoothing": {"label_smoothing": "0"},
    "without averaged weights": {"averaging": "0"},
    "without balanced emotions": {"balanced": "False"},
    "with one member a network": {"members": "1"},
    "with plain statistics pooling": {"attention": "False"},
    "without dilation": {"dilated": "False"},
    "with separable convolutions": {"separable": "True"},
    "with an LSTM one way": {"both_ways": "False"},
    "with deltas": {"deltas": "True"},
    "with mixup": {"mixup": "0.2"},
    "with distillation": {"distil": "0.5"},
}
# The network that an ingredient is tried on: the stronger one, if that has it.
TRIED_ON: Final = {"both_ways": "lstm"}
STRONGER: Final = "cnn"


def ablate(
    data: Data,
    config: RunConfig,
    changes: dict[str, dict[str, str]],
    folder: Path,
    jobs: int,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Fit with each change; return validation UAR and its difference to the recipe's.

    The recipe itself is fitted with all networks, a change with the one that it is tried on.
    folder: every change has a folder of runs in it, which are resumed.
    """
    only = Data(data.examples)
    results: dict[str, list[Run]] = {}
    for name, change in changes.items():
        networks = {TRIED_ON.get(key, STRONGER) for key in change} or {STRONGER, *TRIED_ON.values()}
        recipe = config.recipe.changed(change)
        changed = replace(config, recipe=recipe, networks=tuple(sorted(networks)))
        place = folder / (name.replace(" ", "-"))
        results[name] = run_all(only, changed, place, jobs, scheduler)
    uars = {
        name: {
            system: np.array([validation_uar(data.examples, r) for r in runs if r.system == system])
            for system in dict.fromkeys(run.system for run in runs)
        }
        for name, runs in results.items()
    }
    first = next(iter(changes))
    return {
        "commit": commit(),
        "other_than_usual": {
            name: value
            for name, value in asdict(config.recipe).items()
            if value != getattr(Recipe(), name)
        },
        "runs": len(config.folds) * len(config.seeds),
        "folds": [fold + 1 for fold in config.folds],
        "seeds": list(config.seeds),
        "changes": {
            name: {
                system: _figures(uar, None if name == first else uars[first][system])
                for system, uar in of_change.items()
            }
            for name, of_change in uars.items()
        },
    }


def _figures(uar: Any, recipe: Any) -> dict[str, float]:
    figures = {"uar": float(uar.mean())}
    if recipe is not None:
        gains = uar - recipe
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
        figures |= {"gain": float(gains.mean()), "error": float(error)}
    return figures
