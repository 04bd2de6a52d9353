"""Which speakers and corpora train and test: never the same in both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from affectd.train.corpora.corpus import Clip, CorpusError
from affectd.train.corpora.layouts import LAYOUTS
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
FOLD: Final = "fold"
WITHOUT: Final = "without"
ALL: Final = "all"  # learns from everything, and is tested on what nothing is learnt from


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of examples in each part; what is tested is as recorded."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def names(examples: Examples) -> Iterator[str]:
    """All splits: `all`, `fold 1` to `fold 6` of the first corpus, `without nemo` and so on."""
    yield ALL
    yield from (f"{FOLD} {number}" for number in range(1, COUNT + 1))
    tested = left_out(examples)
    if len(tested) > 1:
        yield from (f"{WITHOUT} {corpus}" for corpus in tested)


def left_out(examples: Examples) -> list[str]:
    """Corpora that are left out in turn: those with emotions to tell apart and own people."""
    found = dict.fromkeys(clip.corpus for clip in examples.clips)
    return [
        corpus
        for corpus in found
        if _people(corpus) == corpus
        and len({clip.emotion for clip in examples.clips if clip.corpus == corpus}) > 1
    ]


def split(examples: Examples, name: str) -> Split:
    """Part the examples as one of names() says.

    A fold tests some speakers of the first corpus and learns from all others. A corpus that is
    left out is tested on the emotions that the others teach. Raises CorpusError if a part would be
    empty.
    """
    kind, _, which = name.partition(" ")
    as_recorded = examples.condition == 0
    if kind == FOLD:
        tested = np.isin(examples.speaker, speakers_tested(examples.clips, int(which)))
        train = examples.is_learnt & ~tested
        test = tested & (examples.corpus == examples.clips[0].corpus) & as_recorded
    elif kind == WITHOUT:
        people = np.array([_people(corpus) for corpus in examples.corpus])
        train = examples.is_learnt & (people != which)
        taught = np.unique(examples.emotion[train])
        test = (examples.corpus == which) & as_recorded & np.isin(examples.emotion, taught)
    else:
        train, test = examples.is_learnt, np.zeros(len(examples.clip), bool)
    parts = Split(np.flatnonzero(train), np.flatnonzero(test))
    if not parts.train.size or (kind != ALL and not parts.test.size):
        raise CorpusError(f"{name} has nothing to learn from or to test on; add speakers")
    return parts


def speakers_tested(clips: Sequence[Clip], fold: int) -> tuple[str, ...]:
    """The speakers of the first clip's corpus that one of COUNT folds, from 1, tests.

    RAVDESS has EmoBox's folds; the speakers of another corpus are dealt out.
    Raises CorpusError if there are fewer speakers than folds.
    """
    first = clips[0].corpus
    speakers = np.unique([clip.speaker for clip in clips if clip.corpus == first])
    if first == "ravdess":
        chosen = np.array([f"ravdess_{actor:02}" for actor in EMOBOX[fold - 1]])
        chosen = np.intersect1d(speakers, chosen)
    else:
        if len(speakers) < COUNT:
            raise CorpusError(
                f"{first} has {len(speakers)} speaker(s), {COUNT} are needed to test on unseen "
                "ones; add recordings of others"
            )
        chosen = speakers[list(GroupKFold(COUNT).split(speakers, groups=speakers))[fold - 1][1]]
    return tuple(str(speaker) for speaker in chosen)


def _people(corpus: str) -> str:
    """The corpus whose speakers these are: RAVDESS's speakers sing, too."""
    return (LAYOUTS[corpus].people if corpus in LAYOUTS else "") or corpus
