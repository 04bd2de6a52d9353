from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train.adaptation import Adaptation
from affectd.train.examples import Examples, statistics
from affectd.train.fit import NOTED, fit
from affectd.train.fits import quiet_one_thread
from tests.train import made


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    quiet_one_thread()


def everything(examples: Examples) -> NDArray[np.int64]:
    return np.arange(len(examples.clip))


@pytest.mark.parametrize("network", ["mlp", "cnn", "lstm"])
def test_the_same_seed_gives_the_same_network(network: str) -> None:
    examples = made.several()
    one, two = (fit(examples, everything(examples), network, made.TINY, seed=3) for _ in range(2))
    assert one.losses == two.losses
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_gives_another_network() -> None:
    examples = made.ravdess()
    one, two = (fit(examples, everything(examples), "mlp", made.TINY, seed) for seed in (0, 1))
    assert (one.model.get_weights()[0] != two.model.get_weights()[0]).any()


@pytest.mark.parametrize("network", ["mlp", "cnn", "lstm"])
def test_a_network_learns_what_it_is_shown(network: str) -> None:
    examples = made.ravdess()
    recipe = replace(made.TINY, steps=2 * NOTED, batch=32, dropout=0.0, learning_rate=1e-2)
    first, last = fit(examples, everything(examples), network, recipe, seed=0).losses
    assert last < 0.75 * first


def test_losses_are_means_of_many_steps() -> None:
    examples = made.ravdess()
    recipe = replace(made.TINY, steps=NOTED + 1, batch=2)
    assert len(fit(examples, everything(examples), "mlp", recipe, seed=0).losses) == 2


def test_a_fitted_network_normalises_by_its_training_rows() -> None:
    examples = made.ravdess()
    train = np.flatnonzero(np.arange(len(examples.clip)) % 3 > 0)
    expected = statistics(examples, train)
    prior = fit(examples, train, "mlp", made.TINY, seed=0).prior
    np.testing.assert_array_equal(prior.mean, expected.mean)
    np.testing.assert_array_equal(prior.std, expected.std)


def test_without_virtual_voices_none_is_normalised_with_or_heard() -> None:
    examples = made.ravdess()
    recipe = replace(made.TINY, virtual=0.0)
    virtual = examples.condition > 0
    one, two = (
        fit(of, everything(examples), "mlp", recipe, seed=0)
        for of in (examples, made.spoilt(examples, virtual))
    )
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.prior.mean, two.prior.mean)


def test_the_mean_of_the_weights_is_kept_not_the_last_ones() -> None:
    examples = made.ravdess()
    kept, last = (
        fit(examples, everything(examples), "mlp", replace(made.TINY, averaging=share), seed=0)
        for share in (0.9, 0.0)
    )
    assert kept.losses == last.losses
    assert (kept.model.get_weights()[0] != last.model.get_weights()[0]).any()


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that networks are fed while they are fitted."""
    rows_fed: list[int] = []
    real = Adaptation.normalised

    def recorded(self: Adaptation, rows: NDArray[np.int64], *others: object) -> object:
        rows_fed.extend(rows.tolist())
        return real(self, rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Adaptation, "normalised", recorded)
    return rows_fed


def test_a_network_is_fed_no_row_but_those_given(fed: list[int]) -> None:
    examples = made.several()
    given = np.flatnonzero(np.arange(len(examples.clip)) % 2 == 0)
    fit(examples, given, "mlp", made.TINY, seed=0)
    assert len(fed) == made.TINY.steps * made.TINY.batch
    assert set(fed) <= set(given.tolist())
