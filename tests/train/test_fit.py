from dataclasses import replace

import numpy as np
import pytest

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train import fit as fitting
from affectd.train.examples import Examples, statistics
from affectd.train.fit import FitConfig, fit
from affectd.train.folds import split

QUICK = FitConfig("mlp", seed=0, epochs=2)


def test_an_actor_in_training_and_validation_is_refused(examples: Examples) -> None:
    rows = np.arange(len(examples.clip))
    with pytest.raises(ValueError, match="are in training and validation"):
        fit(examples, rows, rows[:10], QUICK)


def test_statistics_are_those_of_the_training_rows_speech_alone(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    spoilt = examples.features.copy()
    spoilt[parts.test] = 1e6
    spoilt[parts.validation] = -1e6
    for row, frames in enumerate(examples.speech_frames):
        spoilt[row, frames:] = 1e6
    fitted = fit(replace(examples, features=spoilt), parts.train, parts.validation, QUICK)
    frames = np.concatenate(
        [examples.features[i, : examples.speech_frames[i]] for i in parts.train]
    )
    np.testing.assert_allclose(fitted.statistics.mean, frames.mean(axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(fitted.statistics.std, frames.std(axis=0), rtol=1e-4)


def test_oversampling_makes_emotions_equally_frequent_out_of_the_training_rows() -> None:
    emotion = np.array([0] * 5 + [1] * 20 + [2] * 10)
    rows = fitting._oversampled(emotion, seed=0)
    assert np.bincount(emotion[rows]).tolist() == [20, 20, 20]
    assert set(rows) == set(range(35))


def test_the_same_seed_gives_the_same_network(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    first, second = (
        fit(examples, parts.train, parts.validation, QUICK).predict(examples.features[:5])
        for _ in range(2)
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_weights_kept_are_those_of_the_best_epoch(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    fitted = fit(examples, parts.train, parts.validation, replace(QUICK, epochs=4))
    curve = fitted.curves["val_uar"]
    assert len(curve) == 4
    assert fitted.best_epoch == int(np.argmax(curve)) + 1
    from affectd.train.scores import score

    predicted = fitted.predict(examples.features[parts.validation]).argmax(axis=1)
    again = score(examples.emotion[parts.validation], predicted).uar
    assert again == pytest.approx(max(curve), abs=0.02)


@pytest.mark.parametrize("network", ["mlp", "cnn", "lstm"])
def test_a_network_learns_what_can_be_learnt(network: str, examples: Examples) -> None:
    parts = split(examples, 0, 0)
    marked = examples.features.copy()
    for emotion in range(len(EMOTIONS)):
        marked[examples.emotion == emotion, :, emotion] += 500
    easy = replace(examples, features=marked)
    fitted = fit(easy, parts.train, parts.validation, FitConfig(network, seed=0, epochs=8))
    predicted = fitted.predict(marked[parts.test]).argmax(axis=1)
    assert (predicted == examples.emotion[parts.test]).mean() > 0.9


def test_examples_report_what_the_segmenter_made_of_the_clips(examples: Examples) -> None:
    assert f"{len(examples.clip)} utterances: " in examples.report()
    assert examples.features.shape[1:] == (examples.spec.n_frames, examples.spec.n_mfcc)


def test_normalised_speech_has_zero_mean_and_unit_variance(examples: Examples) -> None:
    rows = np.arange(20)
    normal = statistics(examples, rows).normalise(examples.features[rows])
    speech = np.concatenate([normal[i, : examples.speech_frames[i]] for i in rows])
    np.testing.assert_allclose(speech.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(speech.std(axis=0), 1, atol=1e-2)
