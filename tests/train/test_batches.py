from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train.adaptation import HEARD, Adaptation, Before
from affectd.train.batches import RARE, Batches, masked_loss
from affectd.train.corpora.corpus import Clip
from affectd.train.examples import Examples, join, statistics
from affectd.train.recipe import Recipe
from tests.train import made

BATCH = 600
PLAIN = Recipe(batch=BATCH, label_smoothing=0.0, listeners=0.0, pauses=0, mixup=0.0)


class Drawn:
    """A batch and what it was drawn from."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        examples: Examples,
        recipe: Recipe = PLAIN,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        rows = np.arange(len(examples.clip)) if rows is None else rows
        real = Adaptation.normalised

        def recorded(
            adaptation: Adaptation,
            rows: NDArray[np.int64],
            counts: NDArray[np.int64],
            before: NDArray[np.int64],
            random: np.random.Generator,
            out: NDArray[np.float32] | None = None,
        ) -> NDArray[np.float32]:
            self.rows, self.counts, self.before = rows, counts, before
            self.normalised = real(adaptation, rows, counts, before, random)
            return self.normalised.copy()

        monkeypatch.setattr(Adaptation, "normalised", recorded)
        prior = statistics(examples, rows)
        self.x, y = Batches(examples, rows, prior, recipe, seed=0).draw()
        self.target, self.known = y[:, 0], y[:, 1]
        self.clips = [examples.clips[clip] for clip in examples.clip[self.rows]]


def even(counts: Counter[object], kinds: int) -> bool:
    """Whether every kind was drawn about equally often, within four deviations."""
    expected = sum(counts.values()) / kinds
    return len(counts) == kinds and all(
        abs(count - expected) < 4 * np.sqrt(expected) for count in counts.values()
    )


def test_a_batch_has_the_stated_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, made.several())
    assert drawn.x.shape == (BATCH, made.TIME, made.WIDTH)
    assert drawn.target.shape == drawn.known.shape == (BATCH, 8)
    assert drawn.x.dtype == drawn.target.dtype == np.float32


def test_every_emotion_of_every_corpus_is_drawn_equally_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Drawn(monkeypatch, made.several())
    kinds = {(clip.corpus, clip.emotion) for clip in made.several().clips}
    assert even(Counter((clip.corpus, clip.emotion) for clip in drawn.clips), len(kinds))


def test_all_emotions_of_a_corpus_are_drawn_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    many = made.corpus("home", ["home_a"], (0,), clips=20)
    few = made.corpus("home", ["home_a"], (2, 4), clips=2)
    drawn = Drawn(monkeypatch, join([many, few]))
    assert even(Counter(clip.emotion for clip in drawn.clips), 3)


def test_all_clips_of_an_emotion_are_drawn_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    one = made.corpus("home", ["home_a"], (0,), clips=6)
    kept = np.flatnonzero((one.clip > 0) | (one.condition == 0))  # the first has one voice less
    assert even(Counter(clip.path for clip in Drawn(monkeypatch, one, rows=kept).clips), 6)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_virtual_voices_are_drawn_by_their_share(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = made.corpus("home", ["home_a", "home_b"], voices=5)
    drawn = Drawn(monkeypatch, examples, replace(PLAIN, virtual=share))
    assert (examples.condition[drawn.rows] > 0).mean() == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize(("voice", "share"), [(0, 1.0), (1, 0.0)])
def test_a_clip_that_is_heard_in_some_voices_alone_is_drawn_in_those(
    voice: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = made.corpus("home", ["home_a"])
    rows = np.flatnonzero(examples.condition == voice)
    drawn = Drawn(monkeypatch, examples, replace(PLAIN, virtual=share), rows)
    assert set(examples.condition[drawn.rows]) == {voice}


def test_no_row_is_drawn_but_those_given(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = made.several()
    rows = np.flatnonzero(np.arange(len(examples.clip)) % 3 == 0)
    assert set(Drawn(monkeypatch, examples, rows=rows).rows) <= set(rows)


def test_any_amount_is_heard_of_a_voice_before(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, made.several(), replace(PLAIN, alike=0.2))
    assert even(Counter(drawn.counts.tolist()), len(HEARD))
    shares = {kind: (drawn.before == kind).mean() for kind in Before}
    assert shares[Before.ALIKE] == pytest.approx(0.2, abs=0.07)
    assert shares[Before.ANY] == pytest.approx(0.4, abs=0.08)
    assert shares[Before.QUIET] == pytest.approx(0.4, abs=0.08)


def test_without_adaptation_nothing_is_heard_before(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, made.several(), replace(PLAIN, adaptation=False))
    assert not drawn.counts.any()


def test_without_ingredients_a_batch_is_its_utterances_and_their_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Drawn(monkeypatch, made.several())
    np.testing.assert_array_equal(drawn.x, drawn.normalised)
    np.testing.assert_array_equal(drawn.target, np.eye(8)[[clip.emotion for clip in drawn.clips]])


def test_pauses_are_stretches_of_zeros_and_no_longer_than_they_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(PLAIN, pauses=1, pause_frames=6)
    drawn = Drawn(monkeypatch, made.several(), recipe)
    changed = (drawn.x != drawn.normalised).any(axis=2)
    lengths = changed.sum(axis=1)
    assert set(lengths) == set(range(7))
    assert not drawn.x[changed].any()
    for one in changed[lengths > 0]:
        assert np.ptp(np.flatnonzero(one)) + 1 == one.sum()


def listened_to(examples: Examples, heard: tuple[int, ...]) -> Examples:
    return made.relabelled(examples, heard=heard)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_listeners_heard_has_its_share_in_the_target(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = listened_to(made.corpus("cremad", ["cremad_1001"], (0, 2, 3, 4)), heard=(0, 3))
    drawn = Drawn(monkeypatch, examples, replace(PLAIN, listeners=share))
    meant = np.eye(8)[[clip.emotion for clip in drawn.clips]]
    voted = (np.eye(8)[0] + np.eye(8)[3]) / 2
    np.testing.assert_allclose(drawn.target, (1 - share) * meant + share * voted, rtol=1e-6)


def test_where_nobody_was_asked_the_target_is_what_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Drawn(monkeypatch, made.ravdess(), replace(PLAIN, listeners=1.0))
    np.testing.assert_array_equal(drawn.target, np.eye(8)[[clip.emotion for clip in drawn.clips]])


def test_a_smoothed_label_is_shared_among_the_emotions_of_its_corpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examples = made.corpus("home", ["home_a"], (0, 2, 3, 4))
    drawn = Drawn(monkeypatch, examples, replace(PLAIN, label_smoothing=0.2))
    meant = np.eye(8)[[clip.emotion for clip in drawn.clips]]
    among = np.isin(np.arange(8), (0, 2, 3, 4)) / 4
    np.testing.assert_allclose(drawn.target, 0.8 * meant + 0.2 * among, rtol=1e-6)


def of(clips: list[Clip], corpus: str) -> NDArray[np.bool_]:
    return np.array([clip.corpus == corpus for clip in clips])


def test_targets_mark_the_emotions_that_a_corpus_has(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, made.several())
    for corpus, emotions in (("ravdess", range(8)), ("home", (0, 2, 3, 4))):
        known = drawn.known[of(drawn.clips, corpus)]
        np.testing.assert_array_equal(
            known, np.tile(np.isin(np.arange(8), emotions), (len(known), 1))
        )


def test_a_corpus_of_one_emotion_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    neutral = made.corpus("plain", ["plain_a", "plain_b"], (0,))
    drawn = Drawn(monkeypatch, join([made.several(), neutral]))
    here = of(drawn.clips, "plain")
    assert here.any()
    p = np.random.default_rng(0).dirichlet(np.ones(8), int(here.sum())).astype(np.float32)
    y = np.stack([drawn.target[here], drawn.known[here]], axis=1)
    np.testing.assert_allclose(masked_loss(y, p[:, None]), 0, atol=1e-6)


def test_an_emotion_that_is_rare_in_a_corpus_is_not_learnt_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = made.corpus("home", ["home_a"], (0, 2), clips=round(1 / RARE))
    drawn = Drawn(monkeypatch, join([usual, made.corpus("home", ["home_b"], (5,))]))
    assert {clip.emotion for clip in drawn.clips} == {0, 2}
    assert not drawn.known[:, 5].any()


def test_mixed_utterances_keep_the_sum_of_their_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(PLAIN, mixup=0.4, label_smoothing=0.1)
    drawn = Drawn(monkeypatch, made.several(), recipe)
    np.testing.assert_allclose(drawn.target.sum(axis=1), 1, rtol=1e-5)
    assert ((drawn.target > 0.2).sum(axis=1) == 2).any()


def test_mixed_utterances_know_the_emotions_of_both_corpora(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Drawn(monkeypatch, made.several(), replace(PLAIN, mixup=0.4))
    assert not drawn.target[drawn.known == 0].any()
    assert set(np.unique(drawn.known)) == {0, 1}


def test_the_same_seed_draws_the_same_batches() -> None:
    examples = made.several()
    rows = np.arange(len(examples.clip))
    prior = statistics(examples, rows)
    one, two = (Batches(examples, rows, prior, Recipe(batch=8), seed=3) for _ in range(2))
    for _ in range(2):
        for a, b in zip(one.draw(), two.draw(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_batch_is_drawn_into_the_memory_of_the_one_before() -> None:
    examples = made.several()
    rows = np.arange(len(examples.clip))
    batches = Batches(examples, rows, statistics(examples, rows), Recipe(batch=8), seed=3)
    assert np.shares_memory(batches.draw()[0], batches.draw()[0])


P = np.array([[0.1, 0.1, 0.3, 0.3, 0.05, 0.05, 0.05, 0.05]], np.float32)


def loss(target: NDArray[np.float64], known: NDArray[np.bool_], *p: NDArray[np.float32]) -> float:
    y = np.stack([target, known]).astype(np.float32)[None]
    (value,) = np.asarray(masked_loss(y, np.stack(p, axis=1)))
    return float(value)


def test_the_loss_leaves_out_what_a_corpus_lacks() -> None:
    known = np.isin(np.arange(8), (2, 3))
    assert loss(np.eye(8)[2], known, P) == pytest.approx(-np.log(0.5), rel=1e-5)


def test_where_a_corpus_has_every_emotion_the_loss_is_the_cross_entropy() -> None:
    target = 0.9 * np.eye(8)[2] + 0.1 / 8
    expected = -(target * np.log(P[0])).sum()
    assert loss(target, np.ones(8, bool), P) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_several_members_is_their_mean() -> None:
    known, target = np.ones(8, bool), np.eye(8)[2]
    two = loss(target, known, P, P[:, ::-1])
    one, other = loss(target, known, P), loss(target, known, P[:, ::-1])
    assert two == pytest.approx((one + other) / 2, rel=1e-5)
