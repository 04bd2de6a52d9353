from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import combine
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train.ablation import CHANGES
from affectd.train.adaptation import Adaptation
from affectd.train.batches import Batches, masked_loss
from affectd.train.examples import Examples, join, statistics
from affectd.train.fit import fit
from affectd.train.folds import split
from affectd.train.networks import NETWORKS, AttentivePooling, _movement, joined
from affectd.train.recipe import Recipe, RecipeError

QUICK = Recipe(epochs=1)


def test_a_speaker_in_training_and_validation_is_refused(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    with pytest.raises(ValueError, match="are in training and validation"):
        fit(examples, rows, rows[:10], "mlp", QUICK, seed=0)


def test_the_same_seed_gives_the_same_network(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    one, two = (fit(examples, parts.train, None, "mlp", QUICK, seed=3) for _ in range(2))
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_learns_what_it_is_shown(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    recipe = Recipe(epochs=30, dropout=0.0, averaging=0.0, virtual=0.0)
    losses = fit(examples, parts.train, None, "mlp", recipe, seed=0).curves["loss"]
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm"])
def test_a_network_gives_a_probability_of_each_emotion(name: str, examples: Examples) -> None:
    network = joined(NETWORKS[name](examples.spec, Recipe()))
    p = network.predict(np.zeros((2, 297, 40), np.float32), verbose=0)
    assert p.shape == (2, len(EMOTIONS))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_a_network_as_shipped_has_less_than_a_megabyte_in_float16(
    name: str, examples: Examples
) -> None:
    assert NETWORKS[name](examples.spec, Recipe()).count_params() * 2 < 1_000_000


def epoch(examples: Examples, rows: NDArray[np.int64], recipe: Recipe) -> list[NDArray[np.float32]]:
    prior = statistics(examples, rows)
    drawn = Batches(examples, rows, prior, recipe, seed=0)
    return [drawn[number][1] for number in range(len(drawn))]


def test_every_emotion_is_drawn_about_equally_often(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    targets = np.concatenate(epoch(examples, rows, Recipe(label_smoothing=0.0)))[:, 0]
    counts = targets.sum(axis=0)
    assert counts.min() > 0.8 * counts.max()


def test_emotions_are_drawn_as_they_come_where_that_is_wanted(examples: Examples) -> None:
    two = np.flatnonzero(np.isin(examples.emotion, (0, 4)) & (examples.condition == 0))
    recipe = Recipe(label_smoothing=0.0, balanced=False, batch=4)
    targets = np.concatenate(epoch(examples, two, recipe))[:, 0]
    assert (
        targets[:, 4].sum() > 1.7 * targets[:, 0].sum()
    )  # RAVDESS has half as much that is neutral


def test_a_network_is_taught_what_others_say_of_an_utterance(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    said = np.array([0.0, 0.0, 0.2, 0.8, 0.0, 0.0, 0.0, 0.0])
    prior = statistics(examples, rows)
    recipe = Recipe(distil=0.5, label_smoothing=0.0)
    batches = Batches(examples, rows, prior, recipe, 0, lambda x: np.tile(said, (len(x), 1)))
    targets = batches[0][1][:, 0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    of_label = targets - 0.5 * said
    np.testing.assert_allclose(np.sort(of_label)[:, -1], 0.5, atol=1e-6)
    np.testing.assert_allclose(np.sort(of_label)[:, :-1], 0, atol=1e-6)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that networks are fed while they are fitted."""
    rows_fed: list[int] = []
    real = Adaptation.normalised

    def recorded(self: object, rows: NDArray[np.int64], *others: object) -> NDArray[np.float32]:
        rows_fed.extend(rows.tolist())
        return real(self, rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Adaptation, "normalised", recorded)
    return rows_fed


def test_a_network_is_distilled_from_others_that_hear_the_same_rows(
    examples: Examples, drawn: list[int]
) -> None:
    parts = split(examples, 0, 0)
    small = Recipe(epochs=1, distil=0.5, members=1, filters=2, width=8, units=4)
    taught = fit(examples, parts.train, None, "mlp", small, seed=0)
    alone = fit(examples, parts.train, None, "mlp", replace(small, distil=0.0), seed=0)
    assert set(drawn) <= set(parts.train.tolist())
    assert taught.curves["loss"] != alone.curves["loss"]


def test_an_epoch_draws_no_row_but_those_given(examples: Examples, drawn: list[int]) -> None:
    parts = split(examples, 0, 0)
    epoch(examples, parts.train, Recipe(others=0.0))
    assert set(drawn) <= set(parts.train.tolist())
    assert set(examples.condition[drawn]) == {0, 1}


def test_a_corpus_does_not_teach_that_emotions_it_lacks_are_rare(examples: Examples) -> None:
    few = np.flatnonzero(np.isin(examples.emotion, (2, 3)))
    clips = tuple(
        replace(clip, corpus="two", speaker=f"two_{clip.speaker}") for clip in examples.clips
    )
    kept = replace(
        examples,
        clips=clips,
        features=examples.features[few],
        frames=examples.frames[few],
        clip=examples.clip[few],
        condition=examples.condition[few],
    )
    both = join([examples, kept])
    targets = np.concatenate(epoch(both, np.arange(len(both.clip)), Recipe(others=1.0)))
    known = targets[:, 1]
    assert {tuple(np.flatnonzero(one)) for one in known} == {tuple(range(8)), (2, 3)}
    assert not targets[:, 0][known == 0].any()


def test_the_loss_leaves_out_what_a_corpus_lacks() -> None:
    p = np.array([[0.1, 0.1, 0.3, 0.3, 0.05, 0.05, 0.05, 0.05]], np.float32)
    known = np.isin(np.arange(8), (2, 3)).astype(np.float32)
    target = np.eye(8, dtype=np.float32)[2]
    loss = np.asarray(masked_loss(np.stack([target, known])[None], p[None]))
    np.testing.assert_allclose(loss, -np.log(0.5), rtol=1e-5)


@pytest.mark.parametrize("network", ["cnn", "lstm"])
def test_the_members_of_a_network_answer_together_with_the_mean_of_their_logarithms(
    network: str, examples: Examples
) -> None:
    several = NETWORKS[network](examples.spec, Recipe(members=3))
    sounds = np.random.default_rng(0).normal(size=(4, *several.input_shape[1:]))
    answers = several.predict(sounds, verbose=0)
    assert answers.shape == (4, 3, 8)
    assert np.abs(answers[:, 0] - answers[:, 1]).max() > 1e-4
    together = joined(several).predict(sounds, verbose=0)
    np.testing.assert_allclose(together, combine(list(answers.swapaxes(0, 1))), atol=1e-5)


def test_without_attention_every_frame_of_speech_weighs_the_same() -> None:
    x = np.random.default_rng(0).normal(size=(1, 10, 3)).astype(np.float32)
    spoken = (np.arange(10) < 6).astype(np.float32)[None, :, None]
    pooled = np.asarray(AttentivePooling(0)([x, spoken]))[0]
    speech = x[0, :6]
    np.testing.assert_allclose(
        pooled, np.concatenate([speech.mean(axis=0), speech.std(axis=0)]), rtol=1e-3, atol=1e-4
    )


def test_movement_is_the_slope_over_two_frames() -> None:
    ramp = np.arange(8.0, dtype=np.float32).reshape(1, 8, 1, 1) * np.ones((1, 1, 40, 1), np.float32)
    np.testing.assert_allclose(np.asarray(_movement(ramp))[0, 1:-1], 2)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("network", ["cnn", "lstm"])
def test_every_recipe_that_is_compared_makes_a_network_that_hears(
    network: str, change: str
) -> None:
    spec = FeatureSpec()
    recipe = Recipe(filters=2, width=8, units=4).changed(CHANGES[change])
    model = joined(NETWORKS[network](spec, recipe))
    sounds = np.random.default_rng(0).normal(size=(2, spec.n_frames, spec.n_mfcc))
    p = np.asarray(model(sounds.astype(np.float32)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert np.abs(p[0] - p[1]).max() > 0


def test_mixed_utterances_keep_the_sum_of_their_targets(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    targets = np.concatenate(epoch(examples, rows, Recipe(mixup=0.4)))[:, 0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)


def test_a_masked_band_is_gone_from_the_mel_channels(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    from affectd.daemon.speech.mfcc import cosines

    prior = statistics(examples, rows)
    recipe = Recipe(bands=1, band_mels=64, pauses=0, virtual=0.0, adaptation=False)
    masked = Batches(examples, rows[:8], prior, recipe, seed=1)[0][0]
    channels = np.abs((masked * prior.std) @ cosines(examples.spec).T).mean(axis=1)
    assert (channels.min(axis=1) < 0.2 * np.median(channels, axis=1)).any()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"salt": "1"}, "'salt' is no ingredient; the recipe has epochs, batch"),
        ({"epochs": "many"}, "epochs is 'many', it must be a int"),
        ({"adaptation": "maybe"}, "adaptation is 'maybe', it must be a bool"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        Recipe().changed(change)
