"""What a network is fed while it is fitted: utterances drawn, normalised, masked and mixed."""

from typing import Any, Final

import numpy as np
from keras import ops
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import HEARD, Adaptation, Before
from affectd.train.examples import Examples, Statistics
from affectd.train.recipe import Recipe

RARE: Final = 0.02  # an emotion with a smaller share of a corpus is not learnt from it


class Batches:
    """Batches in which every emotion of every corpus is equally frequent.

    So a corpus weighs as much as it has emotions. Targets are pairs of 8 probabilities and 8 marks
    of the emotions that the corpus has; see `masked_loss`. A corpus of one emotion teaches
    nothing: it would teach that whatever sounds like its recordings has this emotion.
    """

    def __init__(
        self,
        examples: Examples,
        rows: NDArray[np.int64],
        prior: Statistics,
        recipe: Recipe,
        seed: int,
    ) -> None:
        """rows: of examples to learn from; nothing else is looked at."""
        self._random = np.random.default_rng(seed)
        self._examples, self._recipe = examples, recipe
        self._adaptation = Adaptation(examples, rows, prior)
        pools = _pools(examples, rows)
        self._pools = [clips for corpus in pools for clips in corpus]
        self._known, self._targets = _targets(examples, pools, recipe)
        self._buffer = np.empty((recipe.batch, *examples.frames.shape[1:]), np.float32)

    def draw(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Frames, shape (batch, time, width), and targets, shape (batch, 2, 8).

        The next batch takes the place of these frames.
        """
        recipe, random = self._recipe, self._random
        rows = np.array([self._row() for _ in range(recipe.batch)])
        counts = random.choice(HEARD, len(rows)) if recipe.adaptation else np.zeros(len(rows), int)
        others = (1 - recipe.alike) / 2
        before = random.choice(list(Before), len(rows), p=[others, others, recipe.alike])
        x = self._adaptation.normalised(rows, counts, before, random, self._buffer)
        for one, count in zip(x, self._examples.count[rows], strict=True):
            self._mask(one, int(count))
        clips = self._examples.clip[rows]
        y = np.stack([self._targets[clips], self._known[clips]], axis=1).astype(np.float32)
        return self._mixed(x, y) if recipe.mixup else (x, y)

    def _row(self) -> int:
        """A row of any emotion of any corpus, of any of its clips, by any of its voices."""
        clips = self._pools[self._random.integers(len(self._pools))]
        as_recorded, virtual = clips[self._random.integers(len(clips))]
        chosen = virtual if self._random.random() < self._recipe.virtual else as_recorded
        chosen = chosen if chosen.size else np.concatenate([as_recorded, virtual])
        return int(chosen[self._random.integers(len(chosen))])

    def _mask(self, x: NDArray[np.float32], count: int) -> None:
        """Set stretches of time to zero, in place. Source: Park et al. (2019), SpecAugment."""
        for _ in range(self._recipe.pauses):
            width = self._random.integers(self._recipe.pause_frames + 1)
            start = self._random.integers(max(1, count - width))
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


# By corpus, emotion and clip: rows as recorded, and rows of virtual voices.
Pools = list[list[list[tuple[NDArray[np.int64], NDArray[np.int64]]]]]


def _pools(examples: Examples, rows: NDArray[np.int64]) -> Pools:
    """Rows by corpus, emotion and clip; emotions that are rare in a corpus are left out."""
    pools: Pools = []
    for corpus in np.unique(examples.corpus[rows]):
        of_corpus = rows[examples.corpus[rows] == corpus]
        emotions, counts = np.unique(examples.emotion[of_corpus], return_counts=True)
        pools.append(
            [
                _clips(examples, of_corpus[examples.emotion[of_corpus] == emotion])
                for emotion, count in zip(emotions, counts, strict=True)
                if count > RARE * len(of_corpus)
            ]
        )
    return pools


def _clips(
    examples: Examples, rows: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    rows = rows[np.argsort(examples.clip[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(examples.clip[rows])) + 1
    return [
        (of_clip[examples.condition[of_clip] == 0], of_clip[examples.condition[of_clip] > 0])
        for of_clip in np.split(rows, begins)
    ]


def _targets(
    examples: Examples, pools: Pools, recipe: Recipe
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each clip, shape (len(clips), 8): the emotions its corpus has, and its probabilities."""
    known = np.zeros((len(examples.clips), len(EMOTIONS)))
    targets = np.zeros_like(known)
    for corpus in pools:
        clips = np.array([examples.clip[np.concatenate(pair)[0]] for of in corpus for pair in of])
        emotions = {examples.clips[clip].emotion for clip in clips}
        known[clips] = np.isin(np.arange(len(EMOTIONS)), list(emotions))
        for clip in clips:
            one = examples.clips[clip]
            targets[clip] = _target(one.emotion, one.heard, known[clip], recipe)
    smooth = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    targets = (1 - recipe.label_smoothing) * targets + recipe.label_smoothing * smooth
    return known, targets


def _target(
    acted: int, heard: tuple[int, ...], known: NDArray[np.float64], recipe: Recipe
) -> NDArray[np.float64]:
    """What was acted, and in part what listeners heard, of the emotions that the corpus has."""
    target = np.eye(len(EMOTIONS))[acted]
    voted = known * np.isin(np.arange(len(EMOTIONS)), heard)
    if voted.any():
        target = (1 - recipe.listeners) * target + recipe.listeners * voted / voted.sum()
    return np.asarray(target)


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
