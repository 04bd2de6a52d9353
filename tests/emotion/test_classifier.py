import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion.classifier import RUNTIMES, Classifier
from affectd.daemon.emotion.decision import Reading, combine
from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.voice import LARGEST
from affectd.daemon.errors import BundleError
from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from tests.bundles import gated
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def heard(speech: NDArray[np.int16]) -> list[Heard]:
    return list(Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE).listen([speech]))


def prior(classifier: Classifier) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array(classifier.bundle.mean), np.array(classifier.bundle.std)


def encode(classifier: Classifier, one: Heard) -> Encoding:
    return classifier.encode(one.features, one.frames)


def read(classifier: Classifier, one: Heard) -> Reading:
    return classifier.read(encode(classifier, one), prior(classifier))


def probabilities(classifier: Classifier, one: Heard) -> NDArray[np.float64]:
    return classifier.probabilities(encode(classifier, one), prior(classifier))


def test_an_encoding_has_as_many_frames_as_the_utterance_has_hops(
    classifier: Classifier, heard: list[Heard]
) -> None:
    encoder = classifier.bundle.encoder
    for one in heard:
        encoding = encode(classifier, one)
        assert encoding.frames.shape == (encoder.frames, encoder.width)
        assert encoding.count == -(-one.frames // encoder.hop)


def test_an_encoding_cannot_be_changed(classifier: Classifier, heard: list[Heard]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        encode(classifier, heard[0]).frames[0] = 0


def test_an_encoding_outlives_the_next_utterance(
    classifier: Classifier, heard: list[Heard]
) -> None:
    first = encode(classifier, heard[0])
    before = first.frames.copy()
    encode(classifier, heard[1])
    np.testing.assert_array_equal(first.frames, before)


def test_values_of_encoder_frames_are_far_below_the_largest_that_a_voice_may_have(
    classifier: Classifier, heard: list[Heard]
) -> None:
    random, spec = np.random.default_rng(0), FeatureSpec()
    nonsense = random.normal(0, 300, (spec.n_frames, spec.n_mfcc)).astype(np.float32)
    sounds = [(one.features, one.frames) for one in heard]
    for features, frames in [*sounds, (nonsense, 7), (nonsense, spec.n_frames)]:
        assert np.abs(classifier.encode(features, frames).frames).max() < LARGEST / 10


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


def test_threads_that_read_at_once_read_as_one_after_the_other(
    classifier: Classifier, heard: list[Heard]
) -> None:
    expected = [read(classifier, one) for one in heard]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(partial(read, classifier), heard)) == expected


def test_both_networks_are_the_mean_of_each(heard: list[Heard]) -> None:
    cnn, lstm, both = (Classifier(networks=n) for n in ("cnn", "lstm", "cnn+lstm"))
    expected = combine([probabilities(cnn, heard[0]), probabilities(lstm, heard[0])])
    np.testing.assert_allclose(probabilities(both, heard[0]), expected, atol=1e-6)


def test_a_shift_of_all_encoder_frames_changes_nothing_once_the_voice_knows_it(
    classifier: Classifier, heard: list[Heard]
) -> None:
    mean, std = prior(classifier)
    shift = np.linspace(-3, 3, mean.size)
    encoding = encode(classifier, heard[0])
    shifted = Encoding((encoding.frames + shift).astype(np.float32), encoding.count)
    np.testing.assert_allclose(
        classifier.probabilities(shifted, (mean + shift, std)),
        classifier.probabilities(encoding, (mean, std)),
        atol=1e-4,
    )


def test_what_is_padded_changes_nothing(classifier: Classifier, heard: list[Heard]) -> None:
    short = min(heard, key=lambda one: one.frames)
    assert short.frames < len(short.features)
    other = short.features.copy()
    other[short.frames :] = 100.0
    assert read(classifier, replace(short, features=other)) == read(classifier, short)


def test_padding_of_an_encoding_changes_nothing(classifier: Classifier, heard: list[Heard]) -> None:
    encoding = encode(classifier, min(heard, key=lambda one: one.frames))
    assert encoding.count < len(encoding.frames)
    other = encoding.frames.copy()
    other[encoding.count :] = 100.0
    padded = Encoding(other, encoding.count)
    expected = classifier.read(encoding, prior(classifier))
    assert classifier.read(padded, prior(classifier)) == expected


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for 3.12")
def test_both_runtimes_give_nearly_the_same(heard: list[Heard]) -> None:
    """Weights of int8 are multiplied with roundings that differ from one runtime to the other."""
    litert, tflite = (in_a_process_of_its_own(runtime, heard) for runtime in RUNTIMES)
    for (encoded, given), (other, taken) in zip(litert, tflite, strict=True):
        apart = np.abs(encoded - other) / encoded.std(axis=0)
        assert apart.mean() < 0.1  # 0.07, about as far as int8 weights are from exact ones
        np.testing.assert_allclose(given, taken, atol=0.06)


Given = tuple[NDArray[np.float32], NDArray[np.float64]]


def in_a_process_of_its_own(runtime: str, heard: list[Heard]) -> list[Given]:
    """What one runtime gives; the two cannot be loaded into one process together."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(by_runtime, runtime, heard).result()


def by_runtime(runtime: str, heard: list[Heard]) -> list[Given]:
    """Encoder frames, and the probabilities of emotions and speech."""
    classifier = Classifier(runtime=runtime)
    assert any(name.startswith(runtime) for name in sys.modules)
    given = []
    for one in heard:
        encoding = encode(classifier, one)
        emotions = classifier.probabilities(encoding, prior(classifier))
        speech = classifier.speech_probability(encoding)
        given.append((encoding.frames[: encoding.count], np.append(emotions, speech)))
    return given


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
    other = classifier.read(encode(classifier, heard[0]), (mean + 1, 2 * std))
    assert other.speech_probability == read(classifier, heard[0]).speech_probability


def test_a_choice_of_networks_that_was_not_calibrated_is_refused() -> None:
    with pytest.raises(BundleError, match=r"no calibration for gru, only for cnn, lstm, cnn\+lstm"):
        Classifier(networks="gru")


def test_networks_that_forgot_hold_nothing_of_an_utterance(heard: list[Heard]) -> None:
    classifier = Classifier()
    read(classifier, heard[0])
    parts = (classifier._encoder, *classifier._networks, classifier._gate)
    networks = [network._interpreter for network in parts]

    def held() -> list[bool]:
        return [one.get_tensor(one.get_input_details()[0]["index"]).any() for one in networks]

    assert held() == [True, True, True, True]
    classifier.forget()
    assert held() == [False, False, False, False]


FORGETTING = """
import os, sys
import numpy as np
from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.daemon.wipe import overwrite_what_is_freed
from tests.conftest import DEMO
from tests.traces import memory

overwrite_what_is_freed()
classifier = Classifier(runtime=sys.argv[1])
prior = np.array(classifier.bundle.mean), np.array(classifier.bundle.std)
negative = []  # what is looked for must not be found where it is kept


def work():
    blocks = [Recording(DEMO).samples()]
    for heard in Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE).listen(blocks):
        encoding = classifier.encode(heard.features, heard.frames)
        classifier.read(encoding, prior)
        negative[:] = [-encoding.frames[row].astype(np.float64) for row in (20, 30)]
        negative.append(-heard.features[30].astype(np.float64))


def found():
    count = 0
    for _, data in memory(os.getpid()):
        held = np.frombuffer(data[: len(data) // 4 * 4], np.float32)
        for row in negative:
            places = np.flatnonzero(held[: -row.size] == -row[0])
            count += sum((held[at : at + row.size] == -row).all() for at in places)
    return count


work()
before = found()
classifier.forget()
print(before, found())
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_after_forgetting_no_encoder_frame_is_left_in_memory(runtime: str) -> None:
    if find_spec(runtime) is None:
        pytest.skip(f"{runtime} has no wheel for this Python")
    command = [sys.executable, "-c", FORGETTING, runtime]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before > 0
    assert after == 0
