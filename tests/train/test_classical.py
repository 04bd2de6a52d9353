from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train import classical
from affectd.train.examples import Examples


def test_functionals_leave_padding_out() -> None:
    sound = np.random.default_rng(0).normal(size=(1, 297, 40)).astype(np.float32)
    sound[:, 100:] = 0
    shorter = sound[:, :150]
    np.testing.assert_array_equal(classical.functionals(sound), classical.functionals(shorter))
    assert classical.functionals(sound).shape == (1, 8 * 40 + 1)


@pytest.mark.parametrize("emotions", [(0, 4), (0, 3, 4)])
def test_a_corpus_that_lacks_emotions_never_gets_them(
    emotions: tuple[int, ...], examples: Examples, rows: NDArray[np.int64]
) -> None:
    kept = rows[np.isin(examples.emotion[rows], emotions)]
    few = replace(
        examples,
        features=examples.features[kept],
        frames=examples.frames[kept],
        clip=examples.clip[kept],
        condition=examples.condition[kept],
    )
    every = np.arange(len(kept))
    fitted = classical.fit(few, every, every, seed=0)
    p = fitted.predict(few.features[:5])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert not np.delete(p, emotions, axis=1).any()
