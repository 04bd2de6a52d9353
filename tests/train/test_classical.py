import numpy as np
import pytest

from affectd.train import classical
from affectd.train.examples import join
from tests.train import made


def test_functionals_leave_padding_out() -> None:
    sound = np.random.default_rng(0).normal(size=(1, 150, 80)).astype(np.float32)
    sound[:, 50:] = 0
    shorter = sound[:, :75]
    np.testing.assert_array_equal(classical.functionals(sound), classical.functionals(shorter))
    assert classical.functionals(sound).shape == (1, 8 * 80 + 1)


@pytest.mark.parametrize("emotions", [(0, 4), (0, 3, 4)])
def test_a_corpus_that_lacks_emotions_never_gets_them(emotions: tuple[int, ...]) -> None:
    few = made.corpus("home", ["home_a", "home_b"], emotions, clips=3)
    fitted = classical.fit(few, np.arange(len(few.clip)), seed=0)
    p = fitted.predict(few.frames[:5].astype(np.float32))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert not np.delete(p, emotions, axis=1).any()


def test_the_machine_learns_what_it_is_shown() -> None:
    examples = made.ravdess(clips=2)
    rows = np.arange(len(examples.clip))
    fitted = classical.fit(examples, rows, seed=0)
    p = fitted.predict(classical._adapted(examples, rows, fitted.prior, seed=1))
    assert (p.argmax(axis=1) == examples.emotion).mean() > 0.9


def test_the_machine_is_fitted_to_the_first_corpus() -> None:
    first, other = made.ravdess(), made.corpus("home", ["home_a"], clips=3)
    swapped = made.relabelled(other, emotion=0)
    x = first.frames[:20].astype(np.float32)
    one, two = (
        classical.fit(both, np.arange(len(both.clip)), seed=0).predict(x)
        for both in (join([first, other]), join([first, swapped]))
    )
    np.testing.assert_array_equal(one, two)
