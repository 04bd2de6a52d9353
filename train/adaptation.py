"""What a voice has said before: statistics of 0 to 60 other utterances of the same voice."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion import voice
from affectd.daemon.emotion.bundle import normalise
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.examples import Examples, Statistics

HEARD: Final = (0, 1, 5, 20, 60)  # utterances heard before, as measured and as drawn in training
QUIET: Final = tuple(EMOTIONS.index(emotion) for emotion in ("neutral", "calm"))


class Before(IntEnum):
    """Which utterances of a voice were heard before."""

    ANY = 0
    QUIET = 1  # neutral and calm ones, if there are any
    ALIKE = 2  # of the same emotion: a voice of which only one is known


class Adaptation:
    """Normalises utterances as a daemon would that has heard some others of the same voice."""

    def __init__(self, examples: Examples, rows: NDArray[np.int64], prior: Statistics) -> None:
        """rows: of examples; what is heard of a voice before is drawn from these alone."""
        self._examples, self._prior = examples, prior
        self._totals, self._squares = examples.sums
        order = rows[np.lexsort((examples.condition[rows], examples.speaker[rows]))]
        speaker, condition = examples.speaker[order], examples.condition[order]
        begins = np.flatnonzero((speaker[1:] != speaker[:-1]) | (condition[1:] != condition[:-1]))
        self._of_voice = {
            (examples.speaker[voice[0]], int(examples.condition[voice[0]])): voice
            for voice in np.split(order, begins + 1)
            if voice.size
        }

    def normalised(
        self,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        before: NDArray[np.int64],
        random: np.random.Generator,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Normalised frames of rows, padding set to zero, shape (n, time, width).

        counts: how many utterances of the voice were heard before, or as many as there are;
        before: which, of Before; both shape (n,). out: where to put the result; memory that is
        asked for anew costs as much as the rest.
        """
        heard = [
            self._drawn(int(row), int(count), Before(kind), random)
            for row, count, kind in zip(rows, counts, before, strict=True)
        ]
        mean, std = voice.statistics(
            self._prior.mean,
            self._prior.std,
            np.array([self._examples.count[rows].sum() for rows in heard]),
            np.array([self._totals[rows].sum(axis=0) for rows in heard]),
            np.array([self._squares[rows].sum(axis=0) for rows in heard]),
        )
        mean, std = mean[:, None].astype(np.float32), std[:, None].astype(np.float32)
        return normalise(self._examples.frames[rows], mean, std, self._examples.count[rows], out)

    def _drawn(
        self, row: int, count: int, before: Before, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Rows of other clips of the same voice; of the same clip if the voice has no other."""
        if not count:
            return np.empty(0, np.int64)
        examples = self._examples
        others = self._of_voice[examples.speaker[row], int(examples.condition[row])]
        elsewhere = others[examples.clip[others] != examples.clip[row]]
        others = elsewhere if elsewhere.size else others[others != row]
        emotions = {Before.QUIET: QUIET, Before.ALIKE: (examples.emotion[row],)}.get(before)
        if emotions is not None:
            chosen = others[np.isin(examples.emotion[others], emotions)]
            others = chosen if chosen.size else others
        return random.permutation(others)[:count]
