"""The speech encoder under CNN, LSTM and gate: the first layers of Whisper tiny.en, as they are.

Source: Radford et al. (2022), Robust Speech Recognition via Large-Scale Weak Supervision.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.bundle import DEFAULT
from affectd.daemon.errors import AffectdError
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import FeatureSpec, cosines
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.train.quiet import silenced

RECORDINGS: Final = tuple(DEFAULT / "demo" / name for name in ("recording.ogg", "before.ogg"))
HEADS: Final = 6
WIDTH: Final = 384
EPSILON: Final = 1e-5  # of the layer norms
RANGE: Final = 6.0  # powers of ten below the loudest band that are told apart
LOUDEST: Final = 1.5  # where the loudest band of every utterance is put, in powers of ten
BLOCKS: Final = (2,)  # transformer blocks whose output is taken; several are put side by side
POOLED: Final = 2  # encoder steps of 20 ms that make one frame
MFCC_FRAMES: Final = 2 * POOLED  # that make one frame, as the second convolution takes every second


class EncoderError(AffectdError):
    """The file of the speech encoder cannot be used."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Which part of the network is taken, and how its weights are stored."""

    blocks: tuple[int, ...] = BLOCKS
    weights: str = "dynamic"  # int8 weights with float32 activations; or float32


@dataclass(frozen=True, slots=True)
class Encoder:
    """A speech encoder in TensorFlow Lite: from MFCCs to the frames that the networks read."""

    path: Path
    sha256: str

    def __call__(self, features: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Encode MFCCs, shape (n_frames, n_mfcc), of which count are the utterance's.

        Returns shape (frames, width); those behind `frames_of(count)` say nothing.
        """
        interpreter, entry, exit_ = _interpreter(self.path, self.sha256)
        padded = features.copy()
        padded[count:] = 0
        interpreter.set_tensor(entry, padded[None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(exit_)[0])


def frames_of(count: int) -> int:
    """How many frames the encoder makes of so many frames of MFCCs."""
    return -(-count // MFCC_FRAMES)


def demo_speech() -> Iterator[tuple[NDArray[np.float32], int]]:
    """The utterances of the demo's recordings: MFCCs, and how many of them are the utterance's."""
    for path in RECORDINGS:
        ear = Ear(FeatureSpec(), SegmenterSpec(), DEFAULT_MODE)
        for heard in ear.listen([Recording(path).samples()]):
            yield heard.features, heard.frames


def difference(one: Encoder, other: Encoder, std: NDArray[np.floating[Any]]) -> float:
    """Root mean square difference of the frames of demo_speech, in standard deviations.

    std: of each coefficient, shape (width,).
    """
    squares = [
        (((one(mfcc, count) - other(mfcc, count)) / std)[: frames_of(count)]) ** 2
        for mfcc, count in demo_speech()
    ]
    return float(np.sqrt(np.concatenate(squares).mean()))


@lru_cache(maxsize=2)
def _interpreter(path: Path, _sha256: str) -> tuple[Any, int, int]:
    from affectd.daemon.emotion.classifier import runtime_interpreter

    with silenced():
        interpreter = runtime_interpreter()(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    return interpreter, entry["index"], exit_["index"]


def prepared(weights: Path, workdir: Path, spec: EncoderSpec | None = None) -> Encoder:
    """The encoder in TensorFlow Lite, converted into workdir unless it is there already.

    weights: a file that `affectd train fetch encoder --to DIR` has written. Raises EncoderError.
    """
    spec = spec or EncoderSpec()
    arrays = load_weights(weights, max(spec.blocks))
    digest = hashlib.sha256(repr(spec).encode() + Path(__file__).read_bytes())
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    path = workdir / f"encoder-{digest.hexdigest()[:12]}.tflite"
    if not path.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with silenced():
            part.write_bytes(convert(arrays, spec))
        part.replace(path)
    return Encoder(path, hashlib.sha256(path.read_bytes()).hexdigest())


def load_weights(path: Path, blocks: int) -> dict[str, NDArray[np.float32]]:
    """Read the arrays that so many blocks need; raise EncoderError if one is not as it must be."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
    except OSError as error:
        raise EncoderError(
            f"{path} cannot be read ({error.strerror or error}); "
            "fetch it with `affectd train fetch encoder --to DIR`"
        ) from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise EncoderError(
            f"{path} is no file of arrays ({error}); "
            "fetch it with `affectd train fetch encoder --to DIR`"
        ) from error
    needed = shapes(FeatureSpec(), blocks)
    for name, shape in needed.items():
        found = arrays[name].shape if name in arrays else None
        if found != shape:
            is_there = f"has the shape {found} there" if found else "is not there"
            raise EncoderError(
                f"{path}: {name} {is_there}, the encoder needs {shape}; "
                "fetch it with `affectd train fetch encoder --to DIR`"
            )
    return {name: arrays[name] for name in needed}


def shapes(spec: FeatureSpec, blocks: int) -> dict[str, tuple[int, ...]]:
    """The arrays of the encoder's file that so many blocks need, by name."""
    found: dict[str, tuple[int, ...]] = {
        "conv1/weight": (WIDTH, spec.n_mels, 3),
        "conv1/bias": (WIDTH,),
        "conv2/weight": (WIDTH, WIDTH, 3),
        "conv2/bias": (WIDTH,),
        "positions": (spec.n_frames // 2, WIDTH),
    }
    for block in range(blocks):
        for layer, inner, outer in (
            ("attention/qkv", WIDTH, 3 * WIDTH),
            ("attention/out", WIDTH, WIDTH),
            ("mlp/in", WIDTH, 4 * WIDTH),
            ("mlp/out", 4 * WIDTH, WIDTH),
        ):
            found[f"block_{block}/{layer}/weight"] = (outer, inner)
            found[f"block_{block}/{layer}/bias"] = (outer,)
        for layer in ("attention/norm", "mlp/norm"):
            found[f"block_{block}/{layer}/gamma"] = (WIDTH,)
            found[f"block_{block}/{layer}/beta"] = (WIDTH,)
    return found


def convert(arrays: Mapping[str, NDArray[np.float32]], spec: EncoderSpec) -> bytes:
    """The encoder in TensorFlow Lite, of operators that every runtime has."""
    import tensorflow as tf

    features = FeatureSpec()
    graph = tf.function(
        lambda x: encode(x, arrays, spec.blocks),
        input_signature=[tf.TensorSpec((1, features.n_frames, features.n_mfcc), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if spec.weights == "dynamic":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(converter.convert())


def encode(mfcc: Any, arrays: Mapping[str, NDArray[np.float32]], blocks: tuple[int, ...]) -> Any:
    """Frames, shape (n, n_frames / MFCC_FRAMES, WIDTH * len(blocks)), of MFCCs (n, n_frames, 80).

    A frame of zeros is padding: it is silent, no other frame attends to it, and it is left out of
    the mean of neighbours. The loudest band of an utterance is put at LOUDEST, so that the level
    of a recording changes nothing.
    """
    import tensorflow as tf

    is_spoken = tf.cast(tf.reduce_max(tf.abs(mfcc), axis=-1, keepdims=True) > 0, tf.float32)
    log_mel = _log_mel(mfcc)
    log_mel = log_mel * is_spoken - 10 * (1 - is_spoken)
    loudest = tf.reduce_max(log_mel, axis=[1, 2], keepdims=True)
    x = (tf.maximum(log_mel - loudest, -RANGE) + LOUDEST + 4) / 4
    x = _convolution(_convolution(x, arrays, "conv1", 1), arrays, "conv2", 2) + arrays["positions"]
    steps = x.shape[1]
    is_spoken = tf.reduce_max(tf.reshape(is_spoken, [-1, steps, 2]), axis=-1)
    taken = []
    for block in range(max(blocks)):
        x = _block(x, arrays, f"block_{block}", (is_spoken[:, None, None, :] - 1) * 1e4)
        if block + 1 in blocks:
            taken.append(x)
    x = tf.concat(taken, axis=-1) if len(taken) > 1 else x
    shape = [-1, steps // POOLED, POOLED]
    total = tf.reduce_sum(tf.reshape(x * is_spoken[..., None], [*shape, x.shape[-1]]), axis=2)
    return total / tf.maximum(tf.reduce_sum(tf.reshape(is_spoken, [*shape, 1]), axis=2), 1)


def _log_mel(mfcc: Any) -> Any:
    """Undo the cosine transform: powers of ten in each mel band.

    It is done in parts, as the converter leaves weights of fewer than 1024 numbers alone: in int8
    the first coefficient, which is large, would leave little of the others.
    """
    import tensorflow as tf

    inverse = cosines(FeatureSpec()).T / 10
    parts = np.array_split(inverse, 8, axis=1)
    return tf.concat([tf.matmul(mfcc, tf.constant(part)) for part in parts], axis=-1)


def _convolution(x: Any, arrays: Mapping[str, NDArray[np.float32]], name: str, stride: int) -> Any:
    import tensorflow as tf

    kernel = arrays[f"{name}/weight"].transpose(2, 1, 0)
    padded = tf.pad(x, [[0, 0], [1, 1], [0, 0]])
    return tf.nn.gelu(tf.nn.conv1d(padded, kernel, stride, "VALID") + arrays[f"{name}/bias"])


def _block(x: Any, arrays: Mapping[str, NDArray[np.float32]], name: str, away: Any) -> Any:
    """A transformer block with the norms first; away: -1e4 where nothing may attend to."""
    import tensorflow as tf

    def dense(x: Any, layer: str) -> Any:
        # A convolution of one step: of these, unlike dense layers, every runtime takes int8 weights
        # with a scale for each channel. One scale for all costs five times the error.
        weight, bias = (arrays[f"{name}/{layer}/{part}"] for part in ("weight", "bias"))
        return tf.nn.conv1d(x, weight.T[None], 1, "VALID") + bias

    def norm(x: Any, layer: str) -> Any:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        gamma, beta = (arrays[f"{name}/{layer}/{part}"] for part in ("gamma", "beta"))
        return centred * tf.math.rsqrt(variance + EPSILON) * gamma + beta

    def heads(x: Any) -> Any:
        return tf.transpose(tf.reshape(x, [-1, steps, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])

    steps = x.shape[1]
    queries, keys, values = tf.split(dense(norm(x, "attention/norm"), "attention/qkv"), 3, axis=-1)
    scores = tf.matmul(heads(queries), heads(keys), transpose_b=True)
    weights = tf.nn.softmax(scores * (WIDTH // HEADS) ** -0.5 + away)
    attended = tf.transpose(tf.matmul(weights, heads(values)), [0, 2, 1, 3])
    x = x + dense(tf.reshape(attended, [-1, steps, WIDTH]), "attention/out")
    return x + dense(tf.nn.gelu(dense(norm(x, "mlp/norm"), "mlp/in")), "mlp/out")
