"""Which speakers train, validate and test: never the same in two parts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples

# EmoBox's six speaker-independent RAVDESS folds, by test actors (Ma et al., 2024).
EMOBOX: Final = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)
COUNT: Final = len(EMOBOX)
VALIDATION_PER_GENDER: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of examples in each part of one fold; validation and test are as recorded."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def speakers_tested(examples: Examples, fold: int) -> tuple[str, ...]:
    """The speakers of the first corpus that one of COUNT folds tests.

    RAVDESS has EmoBox's folds; the speakers of another corpus are dealt out.
    Raises CorpusError if there are too few speakers to train, validate and test.
    """
    first = examples.clips[0].corpus
    speakers = np.unique([clip.speaker for clip in examples.clips if clip.corpus == first])
    if first == "ravdess":
        chosen = np.array([f"ravdess_{actor:02}" for actor in EMOBOX[fold]])
        chosen = np.intersect1d(speakers, chosen)
    else:
        if len(speakers) < COUNT:
            raise CorpusError(
                f"{first} has {len(speakers)} speaker(s), {COUNT} are needed to test on unseen "
                "ones; add recordings of others"
            )
        chosen = speakers[list(GroupKFold(COUNT).split(speakers, groups=speakers))[fold][1]]
    return tuple(str(speaker) for speaker in chosen)


def split(examples: Examples, fold: int, seed: int) -> Split:
    """Part the examples by speaker: the fold's testers, and validating speakers drawn by seed.

    fold: from 0. Of the first corpus's other speakers two men and two women validate, or as many
    as leave one to train. All other speakers of all corpora train. Raises CorpusError if a part
    would be empty.
    """
    first = examples.clips[0].corpus
    of_first = {clip.speaker: clip.gender for clip in examples.clips if clip.corpus == first}
    test = speakers_tested(examples, fold)
    others = sorted(of_first.keys() - set(test))
    random = np.random.default_rng([seed, fold])
    validation: list[str] = []
    for gender in sorted(set(of_first.values())):
        alike = [speaker for speaker in others if of_first[speaker] == gender]
        count = min(VALIDATION_PER_GENDER, len(alike) - 1)
        validation += random.permutation(alike)[:count].tolist()
    own = (examples.corpus == first) & (examples.condition == 0)
    parts = Split(
        train=np.flatnonzero(~np.isin(examples.speaker, [*test, *validation])),
        validation=np.flatnonzero(own & np.isin(examples.speaker, validation)),
        test=np.flatnonzero(own & np.isin(examples.speaker, test)),
    )
    missing = set(others) - set(validation)
    if not (parts.validation.size and parts.test.size and missing):
        raise CorpusError(
            f"fold {fold + 1} tests the speakers {', '.join(test) or 'none'} and needs three "
            f"others, but there are only {', '.join(others) or 'none'}; choose other --folds or "
            "add speakers"
        )
    return parts
