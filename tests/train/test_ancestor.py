import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train import ancestor
from affectd.train.folds import EMOBOX


@pytest.fixture
def clips() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Twenty clips of each actor, each told apart by its features; emotions of unequal number."""
    actor = np.repeat(np.arange(1, 25), 20)
    emotion = np.minimum(np.tile(np.arange(20), 24), 7)
    features = np.arange(480, dtype=np.float32)[:, None].repeat(40, axis=1)
    return features, emotion, actor


def test_the_random_split_puts_copies_of_one_clip_on_both_sides(
    clips: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    x, y, _ = clips
    ((train, _, test, _),) = ancestor._leaking(x, y, seed=0)
    assert set(train[:, 0]) & set(test[:, 0])


def test_the_honest_protocol_tests_every_clip_once_on_unseen_actors(
    clips: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    x, y, actor = clips
    tested = []
    for train, _, test, _ in ancestor._honest(x, y, actor, seed=0):
        seen, unseen = (set(actor[part[:, 0].astype(int)]) for part in (train, test))
        assert not seen & unseen
        tested += test[:, 0].astype(int).tolist()
    assert sorted(tested) == list(range(480))
    assert len(EMOBOX) == 6


def test_the_table_sets_both_protocols_side_by_side() -> None:
    from affectd.train.scores import Scores

    results = [
        ancestor.Result(network, protocol, (Scores(0.1, accuracy, 0.1),) * 2)
        for network in ancestor.NETWORKS
        for protocol, accuracy in (("leaking", 0.6), ("honest", 0.3))
    ]
    assert "| cnn | 60.0 ± 0.0 | 30.0 ± 0.0 |" in ancestor.table(results)
