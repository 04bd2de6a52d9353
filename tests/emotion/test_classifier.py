import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import RUNTIMES, Classifier
from affectd.daemon.emotion.decision import Reading, combine
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import BundleError
from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from tests.bundles import gated


@pytest.fixture(scope="session")
def heard(speech: NDArray[np.int16]) -> list[Heard]:
    return list(Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE).listen([speech]))


def prior(classifier: Classifier) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array(classifier.bundle.mean), np.array(classifier.bundle.std)


def read(classifier: Classifier, one: Heard) -> Reading:
    return classifier.read(one.features, one.frames, prior(classifier))


def probabilities(classifier: Classifier, one: Heard) -> NDArray[np.float64]:
    return classifier.probabilities(one.features, one.frames, prior(classifier))


def test_a_reading_has_eight_probabilities_that_sum_to_one(
    classifier: Classifier, heard: list[Heard]
) -> None:
    reading = read(classifier, heard[0])
    assert len(reading.probabilities) == len(EMOTIONS)
    assert sum(reading.probabilities) == pytest.approx(1)


def test_different_utterances_are_read_differently(
    classifier: Classifier, heard: list[Heard]
) -> None:
    assert len({read(classifier, one).probabilities for one in heard}) == len(heard)


def test_the_same_utterance_is_read_the_same_again(
    classifier: Classifier, heard: list[Heard]
) -> None:
    first = read(classifier, heard[0])
    read(classifier, heard[1])
    assert read(classifier, heard[0]) == first


def test_both_networks_are_the_mean_of_each(heard: list[Heard]) -> None:
    cnn, lstm, both = (Classifier(networks=n) for n in ("cnn", "lstm", "cnn+lstm"))
    expected = combine([probabilities(cnn, heard[0]), probabilities(lstm, heard[0])])
    np.testing.assert_allclose(probabilities(both, heard[0]), expected, atol=1e-6)


def test_a_louder_microphone_changes_nothing_once_the_voice_knows_it(
    classifier: Classifier, heard: list[Heard]
) -> None:
    mean, std = prior(classifier)
    gain = np.zeros(mean.size)
    gain[0] = 80.0
    louder = (heard[0].features + gain).astype(np.float32)
    np.testing.assert_allclose(
        classifier.probabilities(louder, heard[0].frames, (mean + gain, std)),
        probabilities(classifier, heard[0]),
        atol=1e-4,
    )


def test_what_is_padded_changes_nothing(classifier: Classifier, heard: list[Heard]) -> None:
    short = min(heard, key=lambda one: one.frames)
    assert short.frames < len(short.features)
    other = short.features.copy()
    other[short.frames :] = 100.0
    expected = read(classifier, short)
    assert classifier.read(other, short.frames, prior(classifier)) == expected


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for 3.12")
def test_both_runtimes_give_the_same_probabilities(heard: list[Heard]) -> None:
    litert, tflite = (in_a_process_of_its_own(r, heard) for r in RUNTIMES)
    np.testing.assert_allclose(litert, tflite, atol=1e-5)


def in_a_process_of_its_own(runtime: str, heard: list[Heard]) -> list[list[float]]:
    """Probabilities from one runtime; the two cannot be loaded into one process together."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(by_runtime, runtime, heard).result()


def by_runtime(runtime: str, heard: list[Heard]) -> list[list[float]]:
    classifier = Classifier(runtime=runtime)
    assert any(name.startswith(runtime) for name in sys.modules)
    return [
        [
            *probabilities(classifier, one).tolist(),
            classifier.speech_probability(one.features, one.frames),
        ]
        for one in heard
    ]


def test_a_threshold_of_one_makes_every_reading_unknown(heard: list[Heard]) -> None:
    assert read(Classifier(threshold=1.0), heard[0]).emotion == "unknown"


@pytest.mark.parametrize(("threshold", "is_speech"), [(0.4, True), (0.6, False)])
def test_what_the_gate_holds_for_no_speech_is_unknown(
    threshold: float, is_speech: bool, half_gate: bytes, heard: list[Heard], tmp_path: Path
) -> None:
    reading = read(Classifier(gated(tmp_path, threshold, half_gate), threshold=0.0), heard[0])
    assert reading.speech_probability == pytest.approx(0.5)
    assert reading.is_speech is is_speech
    assert (reading.emotion == "unknown") is not is_speech


def test_the_gate_knows_no_voice(classifier: Classifier, heard: list[Heard]) -> None:
    mean, std = prior(classifier)
    other = classifier.read(heard[0].features, heard[0].frames, (mean + 50, 2 * std))
    assert other.speech_probability == read(classifier, heard[0]).speech_probability


def test_a_choice_of_networks_that_was_not_calibrated_is_refused() -> None:
    with pytest.raises(BundleError, match=r"no calibration for gru, only for cnn, lstm, cnn\+lstm"):
        Classifier(networks="gru")


def test_networks_that_forgot_hold_nothing_of_an_utterance(heard: list[Heard]) -> None:
    classifier = Classifier()
    mean_std = np.array(classifier.bundle.mean), np.array(classifier.bundle.std)
    classifier.read(heard[0].features, heard[0].frames, mean_std)
    networks = [network._interpreter for network in (*classifier._networks, classifier._gate)]

    def held() -> list[bool]:
        return [one.get_tensor(one.get_input_details()[0]["index"]).any() for one in networks]

    assert held() == [True, True, True]
    classifier.forget()
    assert held() == [False, False, False]
