"""The exported networks with everything needed to run them alike; see models/bundle.json."""

import hashlib
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import Calibration, Share
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.emotion.voice import VoiceSpec
from affectd.daemon.errors import BundleError
from affectd.daemon.speech.mfcc import FeatureSpec

FORMAT: Final = 3
ENCODER_DIGITS: Final = 12  # of a SHA-256: enough to tell one encoder from another
FILE: Final = "bundle.json"
DEFAULT: Final = Path(__file__).parents[2] / "models"

Array = NDArray[np.floating[Any]]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported network."""

    file: str  # beside bundle.json
    sha256: str
    parity: dict[str, float]  # format -> largest difference to Keras in probability


class Encoder(Network, frozen=True, forbid_unknown_fields=True):
    """The pretrained network that turns MFCCs into what the other networks read."""

    frames: Annotated[int, Meta(ge=1)]  # encoder frames of a padded utterance
    width: Annotated[int, Meta(ge=1)]  # values of an encoder frame
    hop: Annotated[int, Meta(ge=1)]  # MFCC frames that make one encoder frame

    @property
    def digits(self) -> str:
        """The first digits of the file's SHA-256, which tell this encoder from another."""
        return self.sha256[:ENCODER_DIGITS]

    def count(self, mfcc_frames: int) -> int:
        """How many encoder frames so many MFCC frames make; a last one may be made of fewer."""
        return ceil(mfcc_frames / self.hop)


class Gate(Network, frozen=True, forbid_unknown_fields=True):
    """The network that tells speech from other sounds."""

    threshold: Share  # a lower probability of speech makes the reading `unknown`


class Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the networks were trained on."""

    name: str
    licence: str
    citation: str
    clips: int
    voices: int


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How figures and calibration were measured."""

    commit: str
    seeds: int
    protocols: list[str]  # a sentence each: who spoke, and what the networks had heard of them


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bundle.json as it is; statistics are over encoder frames of the training corpora' speech."""

    format: int
    created: str  # ISO 8601, UTC
    commit: str  # that fitted the networks
    labels: list[str]
    features: FeatureSpec
    voice: VoiceSpec
    mean: list[float]  # one for each value of an encoder frame
    std: list[Annotated[float, Meta(ge=1e-6)]]
    encoder: Encoder
    networks: dict[str, Network]
    gate: Gate
    calibration: dict[str, Calibration]  # by choice of networks: cnn, lstm, cnn+lstm
    corpora: list[Corpus]
    figures: dict[str, dict[str, float]]  # speaker-independent, by choice of networks
    measured: Measured

    @property
    def frame_s(self) -> float:
        """Seconds of speech that one encoder frame stands for."""
        return self.encoder.hop * self.features.hop / self.features.rate_hz


def normalise(
    frames: Array,
    mean: Array,
    std: Array,
    count: NDArray[np.int64] | int,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Scale encoder frames, shape (..., frames, width), by mean and deviation of each value.

    mean, std: broadcast to the frames. count: how many of the frames are speech, shape (...);
    the padding after them becomes zero, which is how the networks know it. out: where to put the
    result, or None for memory of its own.
    """
    normal = np.subtract(frames, mean, out=out, dtype=np.float32, casting="same_kind")
    normal *= np.reciprocal(std, dtype=np.float32, casting="same_kind")
    normal[np.arange(frames.shape[-2]) >= np.asarray(count)[..., None]] = 0
    return normal


def load(folder: Path) -> Bundle:
    """Read bundle.json and check everything that can be checked without running a network.

    Raises BundleError, in one sentence that names the file, if the file is missing or damaged,
    lacks a key, was made for other labels, features or voices, or a network's hash differs.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
        _check_format(msgspec.json.decode(content, type=_Format).format, path)
        bundle = msgspec.json.decode(content, type=Bundle)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}); set emotion.bundle to a folder "
            "that `affectd export` has written"
        ) from error
    except ValueError as error:  # no JSON, no UTF-8, or not these keys
        raise BundleError(f"{path} is not a valid bundle ({error}); export it again") from error
    _check(bundle, path)
    for network in (bundle.encoder, *bundle.networks.values(), bundle.gate):
        _check_hash(folder / network.file, network.sha256)
    return bundle


class _Format(msgspec.Struct, frozen=True):
    format: int


def _check_format(found: int, path: Path) -> None:
    """Refuse another format by its number, before its keys are found wrong."""
    if found != FORMAT:
        raise BundleError(
            f"{path} has format {found}, this version reads {FORMAT}; export it again"
        )


def _check(bundle: Bundle, path: Path) -> None:
    if tuple(bundle.labels) != EMOTIONS:
        raise BundleError(
            f"{path} has the labels {bundle.labels}, this version knows {list(EMOTIONS)} "
            "in this order; export it again"
        )
    if bundle.features != FeatureSpec():
        raise BundleError(
            f"{path} was made for {bundle.features}, this version computes {FeatureSpec()}; "
            "export it again"
        )
    if bundle.voice != VoiceSpec():
        raise BundleError(
            f"{path} was made for {bundle.voice}, this version adapts by {VoiceSpec()}; "
            "export it again"
        )
    encoder, n_frames = bundle.encoder, bundle.features.n_frames
    if encoder.frames * encoder.hop != n_frames:
        raise BundleError(
            f"{path} has an encoder that makes {encoder.frames} frames of {encoder.hop} MFCC "
            f"frames each, but an utterance has {n_frames} MFCC frames; export it again"
        )
    if not len(bundle.mean) == len(bundle.std) == encoder.width:
        raise BundleError(
            f"{path} has statistics of {len(bundle.mean)} means and {len(bundle.std)} deviations "
            f"for encoder frames of {encoder.width} values; export it again"
        )
    for choice in bundle.calibration:
        if missing := set(choice.split("+")) - bundle.networks.keys():
            raise BundleError(
                f"{path} has a calibration for {choice}, but no network {', '.join(missing)}; "
                "export it again"
            )


def _check_hash(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); export it again") from error
    if actual != expected:
        raise BundleError(
            f"{path} has SHA-256 {actual[:12]}…, bundle.json says {expected[:12]}…; "
            "it was changed or damaged, export it again"
        )
