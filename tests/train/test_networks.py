from dataclasses import replace

import numpy as np
import pytest

from affectd.daemon.emotion.decision import combine
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.ablation import CHANGES
from affectd.train.encoder import WIDTH
from affectd.train.networks import NETWORKS, AttentivePooling, joined
from affectd.train.recipe import Recipe
from tests.train import made

SHIPPED = (made.TIME, WIDTH)
SMALL = (made.TIME, made.WIDTH)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_a_probability_of_each_emotion(name: str) -> None:
    network = joined(NETWORKS[name](SHIPPED, Recipe()))
    p = network.predict(np.zeros((2, *SHIPPED), np.float32), verbose=0)
    assert p.shape == (2, len(EMOTIONS))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_a_network_as_shipped_has_less_than_a_megabyte_in_float16(name: str) -> None:
    assert NETWORKS[name](SHIPPED, Recipe()).count_params() * 2 < 1_000_000


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_the_members_of_a_network_answer_together_with_the_mean_of_their_logarithms(
    name: str,
) -> None:
    several = NETWORKS[name](SMALL, replace(made.TINY, members=3))
    sounds = np.random.default_rng(0).normal(size=(4, *SMALL))
    answers = several.predict(sounds, verbose=0)
    assert answers.shape == (4, 3, 8)
    assert np.abs(answers[:, 0] - answers[:, 1]).max() > 1e-4
    together = joined(several).predict(sounds, verbose=0)
    np.testing.assert_allclose(together, combine(list(answers.swapaxes(0, 1))), atol=1e-5)


@pytest.mark.parametrize("attention", [0, 4])
@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_more_padding_changes_nothing(name: str, attention: int) -> None:
    recipe = replace(made.TINY, attention=attention)
    short, long = (NETWORKS[name]((time, made.WIDTH), recipe) for time in (40, made.TIME))
    long.set_weights(short.get_weights())
    sound = np.zeros((1, made.TIME, made.WIDTH), np.float32)
    sound[:, :30] = np.random.default_rng(0).normal(size=(30, made.WIDTH))
    np.testing.assert_allclose(
        short.predict(sound[:, :40], verbose=0), long.predict(sound, verbose=0), atol=1e-4
    )


def test_without_attention_every_frame_of_speech_weighs_the_same() -> None:
    x = np.random.default_rng(0).normal(size=(1, 10, 3)).astype(np.float32)
    spoken = (np.arange(10) < 6).astype(np.float32)[None, :, None]
    pooled = np.asarray(AttentivePooling(0)([x, spoken]))[0]
    speech = x[0, :6]
    np.testing.assert_allclose(
        pooled, np.concatenate([speech.mean(axis=0), speech.std(axis=0)]), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_every_recipe_that_is_compared_makes_a_network_that_hears(name: str, change: str) -> None:
    model = joined(NETWORKS[name](SMALL, made.TINY.changed(CHANGES[change])))
    sounds = np.random.default_rng(0).normal(size=(2, *SMALL))
    p = np.asarray(model(sounds.astype(np.float32)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert np.abs(p[0] - p[1]).max() > 0
