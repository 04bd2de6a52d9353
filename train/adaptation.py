"""What a voice has said before: statistics of 0 to 60 other utterances of the same voice."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion import voice
from affectd.daemon.emotion.bundle import normalise
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.examples import Examples, Statistics

HEARD: Final = (0, 1, 5, 20, 60)  # utterances heard before, as measured and as drawn in training
QUIET: Final = tuple(EMOTIONS.index(emotion) for emotion in ("neutral", "calm"))


class Adaptation:
    """Normalises utterances as a daemon would that has heard some others of the same voice."""

    def __init__(self, examples: Examples, rows: NDArray[np.int64], prior: Statistics) -> None:
        """rows: of examples; what is heard of a voice before is drawn from these alone."""
        self._examples, self._prior = examples, prior
        self._totals, self._squares = examples.sums
        voices: dict[tuple[str, int], list[int]] = {}
        for row in rows:
            key = (examples.speaker[row], int(examples.condition[row]))
            voices.setdefault(key, []).append(int(row))
        self._of_voice = {key: np.array(of_voice) for key, of_voice in voices.items()}

    def normalised(
        self,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        quiet: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Normalised features of rows, padding set to zero, shape (n, n_frames, n_mfcc).

        counts: how many utterances of the voice were heard before, or as many as there are;
        quiet: whether only neutral and calm ones were; both shape (n,).
        """
        heard = [
            self._drawn(int(row), int(count), bool(calm), random)
            for row, count, calm in zip(rows, counts, quiet, strict=True)
        ]
        mean, std = voice.statistics(
            self._prior.mean,
            self._prior.std,
            np.array([self._examples.frames[before].sum() for before in heard]),
            np.array([self._totals[before].sum(axis=0) for before in heard]),
            np.array([self._squares[before].sum(axis=0) for before in heard]),
        )
        mean, std = mean[:, None].astype(np.float32), std[:, None].astype(np.float32)
        examples = self._examples
        return normalise(examples.features[rows], mean, std, examples.frames[rows])

    def _drawn(
        self, row: int, count: int, quiet: bool, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Rows of other clips of the same voice; of the same clip if the voice has no other."""
        examples = self._examples
        others = self._of_voice[examples.speaker[row], int(examples.condition[row])]
        elsewhere = others[examples.clip[others] != examples.clip[row]]
        others = elsewhere if elsewhere.size else others[others != row]
        if quiet:
            calm = others[np.isin(examples.emotion[others], QUIET)]
            others = calm if calm.size else others
        return random.permutation(others)[:count]
