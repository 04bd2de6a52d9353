"""What a network is fed while it is fitted: utterances drawn, adapted, masked and mixed."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from keras import ops
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.mfcc import cosines
from affectd.train.adaptation import HEARD, Adaptation
from affectd.train.examples import Examples, Statistics
from affectd.train.recipe import Recipe

RARE: Final = 0.02  # an emotion with a smaller share of a corpus is not learnt from it


class Batches:
    """One epoch hears every clip of the first corpus about once, and some of the others.

    Within a corpus all its emotions are equally frequent (recipe.balanced). Targets are pairs of
    8 probabilities and 8 marks of the emotions that the corpus has; see `masked_loss`. A corpus of
    one emotion, such as plain speech, is learnt as that and none of the others.
    """

    def __init__(
        self,
        examples: Examples,
        rows: NDArray[np.int64],
        prior: Statistics,
        recipe: Recipe,
        seed: int,
        teach: Callable[[NDArray[np.float32]], NDArray[np.float64]] | None = None,
    ) -> None:
        """rows: of examples to learn from; nothing else is looked at.

        teach: what other networks say of normalised features, shape (batch, 8), to be learnt as
        well (recipe.distil).
        """
        self._teach = teach
        self._random = np.random.default_rng(seed)
        self._examples, self._recipe, self._std = examples, recipe, prior.std
        self._adaptation = Adaptation(examples, rows, prior)
        self._clips = _Clips(examples, rows)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the clips of the next epoch."""
        first, *others = (
            self._random.permutation(self._balanced(clips)) for clips in self._clips.by_corpus
        )
        count = int(self._recipe.others * len(first) / max(1, len(others)))
        drawn = [first, *(np.resize(other, count) for other in others)]
        self._order = self._random.permutation(np.concatenate(drawn))

    def __len__(self) -> int:
        return max(1, len(self._order) // self._recipe.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features, shape (batch, n_frames, n_mfcc), and targets, shape (batch, 2, 8)."""
        recipe, random = self._recipe, self._random
        drawn = self._order[index * recipe.batch : (index + 1) * recipe.batch]
        rows = np.array([self._clips.row(clip, recipe.virtual, random) for clip in drawn])
        counts = random.choice(HEARD, len(rows)) if recipe.adaptation else np.zeros(len(rows), int)
        quiet = random.random(len(rows)) < 0.5
        x = self._adaptation.normalised(rows, counts, quiet, random)
        for one, frames in zip(x, self._examples.frames[rows], strict=True):
            self._mask(one, frames)
        known = self._clips.known[drawn]
        smooth = recipe.label_smoothing * known / known.sum(axis=1, keepdims=True)
        target = (1 - recipe.label_smoothing) * np.eye(len(EMOTIONS))[self._clips.emotion[drawn]]
        target += smooth
        if self._teach is not None:
            told = known * self._teach(x)
            told /= told.sum(axis=1, keepdims=True)
            target = (1 - recipe.distil) * target + recipe.distil * told
        y = np.stack([target, known], axis=1).astype(np.float32)
        return self._mixed(x, y) if recipe.mixup else (x, y)

    def _balanced(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """The clips, some repeated, so that every emotion is as frequent as the most frequent."""
        emotion = self._clips.emotion[clips]
        if not self._recipe.balanced or len(np.unique(emotion)) < 2:
            return clips
        sampler = RandomOverSampler(random_state=int(self._random.integers(2**31)))
        drawn, _ = sampler.fit_resample(clips[:, None], emotion)
        return np.asarray(drawn[:, 0])

    def _mask(self, x: NDArray[np.float32], frames: int) -> None:
        """Set bands of mel channels to their mean, and stretches of time to zero, in place.

        Source: Park et al. (2019), SpecAugment; bands are taken out of the cepstrum by way of
        the cosine transform that made it.
        """
        for _ in range(self._recipe.bands):
            width = self._random.integers(self._recipe.band_mels + 1)
            cosine = cosines(self._examples.spec)
            start = self._random.integers(len(cosine) - width + 1)
            band = cosine[start : start + width]
            x -= ((x * self._std) @ band.T @ band) / self._std
        for _ in range(self._recipe.pauses):
            width = self._random.integers(self._recipe.pause_frames + 1)
            start = self._random.integers(max(1, frames - width))
            x[start : start + width] = 0

    def _mixed(
        self, x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source: Zhang et al. (2018), mixup."""
        share = self._random.beta(self._recipe.mixup, self._recipe.mixup, (len(x), 1, 1))
        share = np.maximum(share, 1 - share).astype(np.float32)
        other = self._random.permutation(len(x))
        mixed = share * y + (1 - share) * y[other]
        mixed[:, 1] = np.maximum(y[:, 1], y[other, 1])
        return share * x + (1 - share) * x[other], mixed


class _Clips:
    """The clips that rows belong to, and their rows by voice."""

    def __init__(self, examples: Examples, rows: NDArray[np.int64]) -> None:
        self._rows: dict[int, dict[int, list[int]]] = {}
        for row in rows:
            voices = self._rows.setdefault(int(examples.clip[row]), {})
            voices.setdefault(int(examples.condition[row]), []).append(int(row))
        corpora = dict.fromkeys(examples.clips[clip].corpus for clip in self._rows)
        self.emotion = np.array([clip.emotion for clip in examples.clips])
        self.known = np.zeros((len(examples.clips), len(EMOTIONS)))
        self.by_corpus: list[NDArray[np.int64]] = []
        for corpus in corpora:
            clips = np.array([c for c in self._rows if examples.clips[c].corpus == corpus])
            counts = np.bincount(self.emotion[clips], minlength=len(EMOTIONS))
            known = counts > RARE * counts.sum()
            if known.sum() == 1:  # can only be told from what it is not
                known[:] = True
            self.known[clips] = known
            self.by_corpus.append(clips[known[self.emotion[clips]]])

    def row(self, clip: int, virtual: float, random: np.random.Generator) -> int:
        """A row of a clip: as recorded, or with the given probability by any of its voices."""
        voices = self._rows[clip]
        anyone = 0 not in voices or random.random() < virtual
        voice = random.choice(list(voices)) if anyone else 0
        return int(random.choice(voices[voice]))


def masked_loss(y: Any, p: Any) -> Any:
    """Cross-entropy between the emotions that a corpus has, the mean of all members, shape (n,).

    y: shape (n, 2, 8), targets and marks of the emotions that the corpus has; p: shape
    (n, members, 8). What a corpus lacks is left out of the sum, so that it does not teach that
    happy speech in its rooms is rare.
    """
    p = ops.clip(p, 1e-7, 1)
    target, known = y[:, :1], y[:, 1:]
    losses = ops.log(ops.sum(known * p, axis=-1)) - ops.sum(target * ops.log(p), axis=-1)
    return ops.mean(losses, axis=-1)
