"""What each ingredient of the recipe brings to corpora that were left out."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from affectd.train.corpora.corpus import CorpusError
from affectd.train.fits import MAIN, Data
from affectd.train.folds import WITHOUT, left_out
from affectd.train.predictions import predict
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe
from affectd.train.runs import JOINED, RunConfig, run_all
from affectd.train.scores import score

# One ingredient changed at a time; the first is the recipe itself.
CHANGES: Final[dict[str, dict[str, str]]] = {
    "the recipe": {},
    "without virtual voices": {"virtual": "0"},
    "without voice adaptation": {"adaptation": "False"},
    "without voices of one emotion": {"alike": "0"},
    "without what listeners heard": {"listeners": "0"},
    "without pauses": {"pauses": "0"},
    "without label smoothing": {"label_smoothing": "0"},
    "without averaged weights": {"averaging": "0"},
    "without dropped coefficients": {"input_dropout": "0"},
    "with two members a network": {"members": "2"},
    "with plain statistics pooling": {"attention": "0"},
    "with half the width": {"width": "48", "units": "24"},
    "with mixup": {"mixup": "0.2"},
}


def ablate(
    data: Data,
    config: RunConfig,
    changes: dict[str, dict[str, str]],
    folder: Path,
    jobs: int,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Fit with each change; return UAR on corpora left out, and its difference to the recipe's.

    folder: every change has a folder of runs in it, which are resumed.
    Raises CorpusError if there is but one corpus.
    """
    if len(left_out(data.examples)) < 2:
        raise CorpusError(
            "each corpus is read by networks that learnt from the others, and only one is named; "
            "name others, such as --cremad DIR"
        )
    only = Data(data.examples, data.encoder)
    splits = tuple(f"{WITHOUT} {corpus}" for corpus in left_out(data.examples))
    config = replace(config, systems=("cnn", "lstm"), splits=splits)
    uars = {}
    for name, change in changes.items():
        changed = replace(config, recipe=config.recipe.changed(change))
        runs = run_all(only, changed, folder / name.replace(" ", "-"), jobs, scheduler)
        uars[name] = {
            key: np.array([_uar(only, run, key) for run in runs if run.system == JOINED])
            for key, _, _ in MAIN
        }
    first = next(iter(uars.values()))
    return {
        "commit": commit(),
        "recipe": asdict(config.recipe),
        "other_than_usual": {
            name: value
            for name, value in asdict(config.recipe).items()
            if value != getattr(Recipe(), name)
        },
        "left_out": list(splits),
        "seeds": list(config.seeds),
        "changes": {
            name: {key: _figures(uar, first[key]) for key, uar in of_change.items()}
            for name, of_change in uars.items()
        },
    }


def _uar(data: Data, run: Any, key: str) -> float:
    told = predict(data.examples, [run], key)
    return score(told.truth, told.predicted).uar


def _figures(uar: Any, recipe: Any) -> dict[str, float]:
    gains = uar - recipe
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return {"uar": float(uar.mean()), "gain": float(gains.mean()), "error": float(error)}
