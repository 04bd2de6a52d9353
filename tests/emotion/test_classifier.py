import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import RUNTIMES, Classifier
from affectd.daemon.emotion.decision import combine
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import BundleError
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE


@pytest.fixture(scope="session")
def features(speech: NDArray[np.int16]) -> list[NDArray[np.float32]]:
    ear = Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE)
    return [heard.features for heard in ear.listen([speech])]


def test_a_reading_has_eight_probabilities_that_sum_to_one(
    classifier: Classifier, features: list[NDArray[np.float32]]
) -> None:
    reading = classifier.read(features[0])
    assert len(reading.probabilities) == len(EMOTIONS)
    assert sum(reading.probabilities) == pytest.approx(1)


def test_different_utterances_are_read_differently(
    classifier: Classifier, features: list[NDArray[np.float32]]
) -> None:
    assert len({classifier.read(one).probabilities for one in features}) == len(features)


def test_the_same_utterance_is_read_the_same_again(
    classifier: Classifier, features: list[NDArray[np.float32]]
) -> None:
    first = classifier.read(features[0])
    classifier.read(features[1])
    assert classifier.read(features[0]) == first


def test_both_networks_are_the_mean_of_each(features: list[NDArray[np.float32]]) -> None:
    cnn, lstm, both = (Classifier(networks=n) for n in ("cnn", "lstm", "cnn+lstm"))
    expected = combine([cnn.probabilities(features[0]), lstm.probabilities(features[0])])
    np.testing.assert_allclose(both.probabilities(features[0]), expected, atol=1e-6)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for 3.12")
def test_both_runtimes_give_the_same_probabilities(features: list[NDArray[np.float32]]) -> None:
    litert, tflite = (in_a_process_of_its_own(r, features) for r in RUNTIMES)
    np.testing.assert_allclose(litert, tflite, atol=1e-5)


def in_a_process_of_its_own(runtime: str, features: list[NDArray[np.float32]]) -> list[list[float]]:
    """Probabilities from one runtime; the two cannot be loaded into one process together."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(probabilities, runtime, features).result()


def probabilities(runtime: str, features: list[NDArray[np.float32]]) -> list[list[float]]:
    classifier = Classifier(runtime=runtime)
    assert any(name.startswith(runtime) for name in sys.modules)
    return [classifier.probabilities(one).tolist() for one in features]


def test_a_threshold_of_one_makes_every_reading_unknown(
    features: list[NDArray[np.float32]],
) -> None:
    assert Classifier(threshold=1.0).read(features[0]).emotion == "unknown"


def test_a_choice_of_networks_that_was_not_calibrated_is_refused() -> None:
    with pytest.raises(BundleError, match=r"no calibration for gru, only for cnn, lstm, cnn\+lstm"):
        Classifier(networks="gru")
