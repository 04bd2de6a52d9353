"""Which actors train, validate and test: never the same in two parts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.train.corpora import CorpusError
from affectd.train.examples import Examples

# EmoBox's six speaker-independent RAVDESS folds, by test actors (Ma et al., 2024).
FOLDS: Final = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)
VALIDATION_PER_GENDER: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of examples in each part of one fold."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split(examples: Examples, fold: int, seed: int) -> Split:
    """Part the examples by actor: the fold's test actors, and validation actors drawn by seed.

    fold: index into FOLDS. Two men and two women of the other actors validate, or as many as
    leave one to train. Raises CorpusError if a part would be empty.
    """
    actors = np.unique(examples.actor)
    test = np.intersect1d(actors, FOLDS[fold])
    others = np.setdiff1d(actors, test)
    random = np.random.default_rng([seed, fold])
    validation = np.concatenate(
        [_drawn(random, others[others % 2 == 1]), _drawn(random, others[others % 2 == 0])]
    )
    parts = [np.setdiff1d(others, validation), validation, test]
    if any(part.size == 0 for part in parts):
        raise CorpusError(
            f"fold {fold + 1} tests the actors {FOLDS[fold]} and needs three others, "
            f"but the corpus has {actors.tolist()}; choose other --folds or add actors"
        )
    return Split(*(np.flatnonzero(np.isin(examples.actor, part)) for part in parts))


def _drawn(random: np.random.Generator, actors: NDArray[np.int64]) -> NDArray[np.int64]:
    return random.permutation(actors)[: min(VALIDATION_PER_GENDER, actors.size - 1)]
