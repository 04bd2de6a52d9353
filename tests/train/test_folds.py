import pytest

from affectd.train.corpora import CorpusError
from affectd.train.examples import Examples
from affectd.train.folds import FOLDS, split


def test_every_actor_is_tested_in_exactly_one_fold() -> None:
    assert sorted(actor for fold in FOLDS for actor in fold) == list(range(1, 25))


def test_the_folds_are_those_of_emobox() -> None:
    assert FOLDS[0] == (1, 11, 20, 21)
    assert FOLDS[5] == (6, 13, 17, 22)


@pytest.mark.parametrize("seed", range(5))
def test_no_actor_is_in_two_parts(seed: int, examples: Examples) -> None:
    parts = split(examples, 0, seed)
    train, validation, test = (
        set(examples.actor[rows]) for rows in (parts.train, parts.validation, parts.test)
    )
    assert test == {1, 11}
    assert not train & validation
    assert not (train | validation) & test
    assert train | validation | test == {1, 2, 3, 4, 11}


def test_seeds_draw_different_validation_actors(examples: Examples) -> None:
    drawn = {tuple(split(examples, 0, seed).validation) for seed in range(10)}
    assert len(drawn) > 1


def test_too_few_actors_are_refused(examples: Examples) -> None:
    with pytest.raises(CorpusError, match=r"fold 3 tests the actors \(8, 9, 19, 23\) and needs"):
        split(examples, 2, 0)
