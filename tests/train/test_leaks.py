"""Nothing that is tested has a say in what tests it: nonsense in its place changes no bit."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train import classical, fits
from affectd.train.conditions import Trials
from affectd.train.examples import Examples, join
from affectd.train.fits import Data, fit_one, held_out, spoken, taught
from affectd.train.folds import Split, split
from affectd.train.networks import NETWORKS, mlp
from affectd.train.sounds import UNLABELLED
from tests.train import made

SPLITS = ("fold 1", "without nemo", "all")
READERS = [f"plain_{letter}" for letter in "abcdefgh"]


def data() -> Data:
    """Several corpora with clips that are kept out, plain speech, and what only tests."""
    examples = made.several()
    clips = tuple(
        replace(clip, is_learnt=clip.corpus != "home" or number % 3 > 0, heard=(clip.emotion,))
        for number, clip in enumerate(examples.clips)
    )
    plain = made.corpus("plain", READERS, (0,))
    plain = replace(plain, clips=tuple(replace(c, emotion=UNLABELLED) for c in plain.clips))
    return Data(
        examples=join([replace(examples, clips=clips), plain]),
        encoder=made.NO_ENCODER,
        test_only=made.corpus("away", ["away_a"], (0, 3, 4), voices=1),
        trials=made.corpus("ravdess", made.actors(1, 2, 4, 11), voices=len(Trials.NAMES)),
        plain=plain,
    )


def nonsense(examples: Examples, clips: NDArray[np.bool_]) -> Examples:
    """Some clips replaced: their frames, spectra, lengths, labels and what listeners heard."""
    spoilt = made.spoilt(examples, clips[examples.clip])
    labels = tuple(
        replace(clip, emotion=(clip.emotion + 3) % 8, heard=(5,)) if is_spoilt else clip
        for clip, is_spoilt in zip(examples.clips, clips, strict=True)
    )
    return replace(spoilt, clips=labels)


def unseen(of: Data, name: str) -> Data:
    """The data with nonsense for all that a split must not learn from."""
    assert of.plain is not None
    assert of.trials is not None
    assert of.test_only is not None
    clips = of.examples.clips
    forbidden = np.array([not clip.is_learnt for clip in clips])
    if name == "fold 1":
        testers = {*made.actors(1, 11, 20, 21), *of.plain.speaker[held_out(of.plain, 1)]}
        forbidden |= np.array([clip.speaker in testers for clip in clips])
    if name == "without nemo":
        forbidden |= np.array([clip.corpus == "nemo" for clip in clips])
    return replace(
        of,
        examples=nonsense(of.examples, forbidden),
        trials=nonsense(of.trials, np.ones(len(of.trials.clips), bool)),
        test_only=nonsense(of.test_only, np.ones(len(of.test_only.clips), bool)),
    )


def learnt(of: Data, name: str) -> list[NDArray[Any]]:
    """All that a fit takes from its training rows, and what a machine without encoder would."""
    run = fit_one(of, "cnn", name, 0, made.TINY)
    assert run.fitted is not None
    machine = classical.fit(of.spectral.examples, taught(of, name), seed=0)
    asked = np.random.default_rng(0).normal(size=(20, made.TIME, made.WIDTH)).astype(np.float32)
    prior = run.fitted.prior
    baseline = (machine.prior.mean, machine.prior.std, machine.predict(asked))
    return [*run.fitted.arrays, prior.mean, prior.std, np.array(run.losses), *baseline]


@cache
def learnt_of_all(name: str) -> list[NDArray[Any]]:
    return learnt(data(), name)


def alike(one: list[NDArray[Any]], two: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", SPLITS)
def test_nothing_that_is_tested_or_kept_out_reaches_weights_normalisation_or_sampling(
    name: str,
) -> None:
    assert alike(learnt_of_all(name), learnt(unseen(data(), name), name))


@pytest.mark.parametrize("name", SPLITS)
def test_a_planted_leak_of_one_utterance_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "cnn", mlp)  # is compiled sooner
    whole = data().examples
    learnt_from = set(taught(data(), name).tolist())
    leaked = next(row for row in range(len(whole.clip)) if row not in learnt_from)

    def leaking(examples: Examples, name: str) -> Split:
        parts = split(examples, name)
        return replace(parts, train=np.append(parts.train, leaked))

    monkeypatch.setattr(fits, "split", leaking)
    assert not alike(learnt(data(), name), learnt(unseen(data(), name), name))


def test_plain_speech_that_a_fold_tests_is_not_taught_to_its_gate() -> None:
    of = data()
    assert of.plain is not None
    is_plain = of.examples.corpus == "plain"
    for number in range(1, 7):
        tested = set(of.plain.speaker[held_out(of.plain, number)])
        told = set(of.examples.speaker[spoken(of, f"fold {number}")])
        assert tested
        assert set(READERS) - tested <= told
        assert not tested & told
    for name in ("without nemo", "all"):
        assert is_plain[spoken(of, name)].sum() == is_plain.sum()
