import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.fft import idct
from scipy.special import erf, softmax

from affectd.daemon.emotion.classifier import runtime_interpreter
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import INT16_SCALE, FeatureSpec, mfcc
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.train.encoder import (
    WIDTH,
    Encoder,
    EncoderError,
    EncoderSpec,
    frames_of,
    load_weights,
    prepared,
)
from tests.conftest import DATA
from tests.train import made

REAL = DATA.parent / "encoder" / "whisper_tiny_en_encoder.npz"
SPEC = FeatureSpec()
FLOAT = EncoderSpec(weights="float32")
Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]


# The encoder in plain NumPy, as Radford et al. (2022) describe it.


def plain(features: NDArray[np.float32], weights: Weights, blocks: tuple[int, ...]) -> Array:
    """Frames, shape (ceil(n / 4), 384 * len(blocks)), of the MFCCs of an utterance, (n, 80).

    The utterance is followed by a little silence, which is neither attended to nor averaged.
    """
    count = len(features)
    log_mel = idct(features.astype(np.float64), type=2, norm="ortho", axis=1) / 10
    silence = np.full((-count % 4 + 4, SPEC.n_mels), -10.0)
    log_mel = np.concatenate([log_mel, silence])[: SPEC.n_frames]
    x = (np.maximum(log_mel, log_mel.max() - 6) - log_mel.max() + 1.5 + 4) / 4
    x = gelu(convolved(x, weights["conv1/weight"], 1) + weights["conv1/bias"])
    x = gelu(convolved(x, weights["conv2/weight"], 2) + weights["conv2/bias"])
    x = x + weights["positions"][: len(x)]
    spoken = np.arange(len(x)) < -(-count // 2)
    outputs = []
    for number in range(max(blocks)):
        x = block(x, spoken, {k.removeprefix(f"block_{number}/"): w for k, w in weights.items()})
        if number + 1 in blocks:
            outputs.append(x[spoken])
    steps = np.concatenate(outputs, axis=1)
    return np.array([steps[at : at + 2].mean(axis=0) for at in range(0, len(steps), 2)])


def gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + erf(x / np.sqrt(2))))


def convolved(x: Array, weight: NDArray[np.float32], stride: int) -> Array:
    padded = np.pad(x, ((1, 1), (0, 0)))
    taps = [padded[tap : tap + len(x)] @ weight[:, :, tap].T for tap in range(3)]
    return np.asarray(np.sum(taps, axis=0)[::stride])


def block(x: Array, spoken: NDArray[np.bool_], w: Weights) -> Array:
    y = normed(x, w, "attention/norm") @ w["attention/qkv/weight"].T + w["attention/qkv/bias"]
    attended = []
    for head in range(6):
        q, k, v = (y[:, 384 * part + 64 * head :][:, :64] for part in range(3))
        scores = np.where(spoken, q @ k.T / 8, -np.inf)
        attended.append(softmax(scores, axis=1) @ v)
    out = np.concatenate(attended, axis=1) @ w["attention/out/weight"].T
    x = x + out + w["attention/out/bias"]
    y = gelu(normed(x, w, "mlp/norm") @ w["mlp/in/weight"].T + w["mlp/in/bias"])
    return np.asarray(x + y @ w["mlp/out/weight"].T + w["mlp/out/bias"])


def normed(x: Array, w: Weights, name: str) -> Array:
    x = x - x.mean(axis=1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)
    return np.asarray(x * w[f"{name}/gamma"] + w[f"{name}/beta"])


@pytest.fixture(scope="module")
def utterances(speech: NDArray[np.int16]) -> list[tuple[NDArray[np.float32], int]]:
    """MFCCs of acted utterances, and how many of the frames are speech."""
    heard = list(Ear(SPEC, SegmenterSpec(), DEFAULT_MODE).listen([speech]))
    assert len(heard) > 5
    return [(one.features, one.frames) for one in heard]


Make = Callable[[Path, EncoderSpec], Encoder]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    workdir = tmp_path_factory.mktemp("encoders")
    return lambda weights, spec: prepared(weights, workdir, spec)


@pytest.fixture(scope="module", params=["random", "real"])
def weights_file(request: pytest.FixtureRequest, encoder_file: Path) -> Path:
    if request.param == "random":
        return encoder_file
    if not REAL.is_file():
        pytest.skip(f"the encoder is not beside this checkout ({REAL})")
    return REAL


@pytest.mark.parametrize("blocks", [(2,), (1, 3)])
def test_the_encoder_in_float32_computes_what_its_weights_say(
    blocks: tuple[int, ...],
    weights_file: Path,
    make: Make,
    utterances: list[tuple[NDArray[np.float32], int]],
) -> None:
    weights = load_weights(weights_file, max(blocks))
    encoder = make(weights_file, EncoderSpec(blocks, "float32"))
    for features, count in utterances[:3]:
        expected = plain(features[:count], weights, blocks)
        actual = encoder(features, count)[: frames_of(count)]
        assert actual.shape == expected.shape == (frames_of(count), WIDTH * len(blocks))
        np.testing.assert_allclose(actual, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("count", [53, 54, 55, 56, 57, 298, 300])
def test_an_utterance_of_any_length_is_encoded_alike(
    count: int, encoder_file: Path, make: Make
) -> None:
    features = np.zeros((SPEC.n_frames, SPEC.n_mfcc), np.float32)
    features[:count] = np.random.default_rng(0).normal(0, 20, (count, SPEC.n_mfcc))
    expected = plain(features[:count], load_weights(encoder_file, 2), (2,))
    actual = make(encoder_file, FLOAT)(features, count)[: frames_of(count)]
    np.testing.assert_allclose(actual, expected, atol=1e-3, rtol=1e-3)


def test_int8_weights_err_by_a_small_part_of_the_deviation(
    weights_file: Path, make: Make, utterances: list[tuple[NDArray[np.float32], int]]
) -> None:
    weights, encoder = load_weights(weights_file, 2), make(weights_file, EncoderSpec())
    most = 0.1 if weights_file == REAL else 0.3  # random weights are not as even
    for features, count in utterances:
        expected = plain(features[:count], weights, (2,))
        error = encoder(features, count)[: frames_of(count)] - expected
        of_values = expected - expected.mean(axis=0)
        assert np.sqrt((error**2).mean() / (of_values**2).mean()) < most


@pytest.mark.parametrize("gain_db", [-20, -6, 10])
def test_the_frames_are_the_same_at_any_gain(
    gain_db: float, encoder_file: Path, make: Make, speech: NDArray[np.int16]
) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.01, 48_000)  # above the floor of the features
    pcm = (speech[32_000:80_000] * INT16_SCALE + hiss).astype(np.float32)
    encoder, count = make(encoder_file, FLOAT), 298
    quiet, loud = (
        np.pad(mfcc((pcm * gain).astype(np.float32), SPEC), ((0, SPEC.n_frames - count), (0, 0)))
        for gain in (1, 10 ** (gain_db / 20))
    )
    assert np.abs(quiet - loud).max() > 40
    np.testing.assert_allclose(encoder(quiet, count), encoder(loud, count), atol=5e-3)


def test_what_follows_an_utterance_does_not_change_its_frames(
    encoder: Encoder, utterances: list[tuple[NDArray[np.float32], int]]
) -> None:
    features, count = utterances[0]
    behind = features.copy()
    behind[count:] = 50
    here = frames_of(count)
    np.testing.assert_array_equal(encoder(behind, count)[:here], encoder(features, count)[:here])
    assert not features[count:].any()  # the caller's array is left alone


def test_frames_are_as_many_as_forty_milliseconds_begin() -> None:
    assert [frames_of(count) for count in (1, 4, 5, 299, 300)] == [1, 1, 2, 75, 75]


def operators(path: Path) -> set[str]:
    interpreter = runtime_interpreter()(model_path=str(path))
    return {one["op_name"] for one in interpreter._get_ops_details()}


@pytest.mark.parametrize("weights", ["float32", "dynamic"])
def test_the_encoder_is_made_of_operators_that_every_runtime_has(
    weights: str, encoder_file: Path, make: Make
) -> None:
    found = operators(make(encoder_file, EncoderSpec(weights=weights)).path)
    assert "CONV_2D" in found
    assert not {name for name in found if name.startswith("Flex") or name == "CUSTOM"}


# The two runtimes cannot share a process with TensorFlow.
OTHER_RUNTIME = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
network, features, frames = sys.argv[1:]
interpreter = Interpreter(network)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(features)[None])
interpreter.invoke()
np.save(frames, interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
"""


@pytest.mark.parametrize(("weights", "difference"), [("float32", 1e-3), ("dynamic", 0.1)])
def test_the_older_runtime_gives_nearly_the_same_frames(
    weights: str,
    difference: float,
    encoder_file: Path,
    make: Make,
    utterances: list[tuple[NDArray[np.float32], int]],
    tmp_path: Path,
) -> None:
    if find_spec("tflite_runtime") is None:
        pytest.skip("tflite-runtime has no wheel for this Python")
    encoder = make(encoder_file, EncoderSpec(weights=weights))
    features, count = utterances[0]
    np.save(tmp_path / "features.npy", features)
    files = (encoder.path, tmp_path / "features.npy", tmp_path / "frames.npy")
    subprocess.run([sys.executable, "-c", OTHER_RUNTIME, *map(str, files)], check=True)
    there = np.load(tmp_path / "frames.npy")
    here = frames_of(count)
    np.testing.assert_allclose(there[:here], encoder(features, count)[:here], atol=difference)


def test_an_encoder_is_converted_once(
    encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(encoder_file, tmp_path / "work")
    monkeypatch.delattr("affectd.train.encoder.convert")
    assert prepared(encoder_file, tmp_path / "work") == first
    assert [path.name for path in (tmp_path / "work").iterdir()] == [first.path.name]


def test_other_weights_and_other_settings_make_another_encoder(
    encoder_file: Path, tmp_path: Path, make: Make
) -> None:
    weights = made.encoder_weights(2)
    weights["conv1/bias"] += 1
    np.savez(tmp_path / "other.npz", **weights)
    several = [
        make(encoder_file, EncoderSpec()),
        make(encoder_file, FLOAT),
        make(tmp_path / "other.npz", EncoderSpec()),
    ]
    assert len({one.sha256 for one in several}) == len({one.path for one in several}) == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"block_1/mlp/in/bias": None}, "block_1/mlp/in/bias is not there, the encoder needs"),
        (
            {"positions": np.zeros((1500, 384), np.float16)},
            r"positions has the shape \(1500, 384\) there, the encoder needs \(150, 384\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    changes: dict[str, NDArray[np.float16] | None], why: str, tmp_path: Path
) -> None:
    arrays = {
        name: of for name, of in (made.encoder_weights(2) | changes).items() if of is not None
    }
    np.savez(tmp_path / "encoder.npz", **arrays)
    with pytest.raises(EncoderError, match=rf"encoder\.npz: {why}.*train fetch encoder"):
        load_weights(tmp_path / "encoder.npz", 2)


def test_blocks_that_are_not_used_need_not_be_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "encoder.npz", **made.encoder_weights(2))
    assert load_weights(tmp_path / "encoder.npz", 1).keys() < made.encoder_weights(2).keys()


def a_list() -> bytes:
    """The bytes of one array in NumPy's own format."""
    return b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }".ljust(
        127
    ) + (b"\n")


@pytest.mark.parametrize(
    "content", [None, b"", b"<html>Please log in</html>", b"PK\x03\x04 cut", a_list()]
)
def test_a_file_that_holds_no_arrays_is_named_with_its_remedy(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "encoder.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EncoderError, match=r"encoder\.npz .*; fetch it with `affectd train fetch"):
        load_weights(path, 2)


def test_a_file_that_was_cut_off_is_named_with_its_remedy(
    encoder_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "encoder.npz"
    path.write_bytes(encoder_file.read_bytes()[:1_000_000])
    with pytest.raises(EncoderError, match=r"encoder\.npz .*; fetch it with `affectd train fetch"):
        load_weights(path, 2)
