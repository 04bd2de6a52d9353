"""The pretrained speech encoder as affectd keeps it: part of Whisper tiny.en in one NPZ file.

The file holds the two convolutions, the first 150 positions (3 s) and the first three transformer
blocks, float16. Linear weights are (out, in), convolution weights (out, in, kernel). The weights
of query, key and value lie on top of each other in `qkv`; Whisper's key has no bias, so that part
of the bias is zero. Queries are as published: whoever computes attention divides by the square
root of the width of a head.
Source: Radford et al. (2022), Robust Speech Recognition via Large-Scale Weak Supervision.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.train.corpora.corpus import CorpusError

NAME: Final = "whisper_tiny_en_encoder.npz"
BLOCKS: Final = 3  # of the four that Whisper tiny.en has
WIDTH: Final = 384
BANDS: Final = 80  # of the log-mel spectrum
POSITIONS: Final = 150  # vectors in 3 s; Whisper has 1500, for 30 s

Tensors = dict[str, NDArray[np.float16]]

# Names in the publisher's file, below `model.encoder.layers.N.`, and in ours, below `block_N/`.
_NORMS: Final = {"self_attn_layer_norm": "attention/norm", "final_layer_norm": "mlp/norm"}
_LINEAR: Final = {
    "self_attn.out_proj": ("attention/out", WIDTH, WIDTH),
    "fc1": ("mlp/in", 4 * WIDTH, WIDTH),
    "fc2": ("mlp/out", WIDTH, 4 * WIDTH),
}


def convert(weights: Path, target: Path, expected: str) -> Tensors:
    """Convert the publisher's safetensors file and remove it; return what was written.

    expected: the digest of the tensors.
    Raises CorpusError if the file is damaged, lacks a tensor, or has one of another shape or with
    other numbers: nothing is written then, and the file is removed. A full disk keeps the file.
    """
    try:
        tensors = _read(weights)
        if (found := digest(tensors)) != expected:
            raise CorpusError(
                f"the tensors in {weights} have the SHA-256 {found} instead of {expected}, so "
                "they are of another network; the file was removed, run the same command again"
            )
    except CorpusError:
        weights.unlink(missing_ok=True)
        raise
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **tensors)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = os.strerror(error.errno) if error.errno else str(error)
        raise CorpusError(
            f"{target} cannot be written ({why}); make room or choose another folder with --to, "
            "then run the same command again"
        ) from error
    weights.unlink()
    return tensors


def load(path: Path, expected: str) -> Tensors:
    """Load the tensors of a converted file.

    expected: the digest of the tensors. Raises CorpusError if the file is missing, damaged, or
    has other tensors.
    """
    remedy = "run `affectd train fetch encoder --to DIR` and give the file that it makes"
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            tensors = {name: np.asarray(values, np.float16) for name, values in file.items()}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path} cannot be read as an encoder ({error}); {remedy}") from error
    if (found := digest(tensors)) != expected:
        raise CorpusError(
            f"the tensors in {path} have the SHA-256 {found} instead of {expected}; {remedy}"
        )
    return tensors


def digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the names in order, each followed by its numbers as little-endian float16."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        sha256.update(name.encode())
        sha256.update(np.ascontiguousarray(tensors[name], "<f2").tobytes())
    return sha256.hexdigest()


def _read(weights: Path) -> Tensors:
    """Read what affectd keeps out of the publisher's file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as file:
            return dict(_tensors(weights, file))
    except (SafetensorError, OSError) as error:
        raise CorpusError(
            f"{weights} is no sound safetensors file ({error}) and was removed; run the same "
            "command again"
        ) from error


def _tensors(path: Path, file: Any) -> Iterator[tuple[str, NDArray[np.float16]]]:
    names = frozenset(file.keys())

    def take(name: str, *shape: int) -> NDArray[np.float16]:
        return _tensor(path, file, names, f"model.encoder.{name}", shape)

    for conv, channels in (("conv1", BANDS), ("conv2", WIDTH)):
        yield f"{conv}/weight", take(f"{conv}.weight", WIDTH, channels, 3)
        yield f"{conv}/bias", take(f"{conv}.bias", WIDTH)
    yield "positions", take("embed_positions.weight", 10 * POSITIONS, WIDTH)[:POSITIONS]
    for number in range(BLOCKS):
        theirs, ours = f"layers.{number}.", f"block_{number}/"
        for norm, name in _NORMS.items():
            yield f"{ours}{name}/gamma", take(f"{theirs}{norm}.weight", WIDTH)
            yield f"{ours}{name}/beta", take(f"{theirs}{norm}.bias", WIDTH)
        for linear, (name, above, below) in _LINEAR.items():
            yield f"{ours}{name}/weight", take(f"{theirs}{linear}.weight", above, below)
            yield f"{ours}{name}/bias", take(f"{theirs}{linear}.bias", above)
        attention = f"{theirs}self_attn."
        projections = [take(f"{attention}{one}_proj.weight", WIDTH, WIDTH) for one in "qkv"]
        yield f"{ours}attention/qkv/weight", np.concatenate(projections)
        query, value = (take(f"{attention}{one}_proj.bias", WIDTH) for one in "qv")
        yield f"{ours}attention/qkv/bias", np.concatenate([query, np.zeros_like(query), value])


def _tensor(
    path: Path, file: Any, names: frozenset[str], name: str, shape: tuple[int, ...]
) -> NDArray[np.float16]:
    if name not in names:
        raise CorpusError(
            f"{path} has no tensor {name}, which must have the shape {shape}; it is of another "
            "network and was removed, run the same command again"
        )
    part = file.get_slice(name)
    found, kind = tuple(part.get_shape()), part.get_dtype()
    if found != shape or kind not in {"F16", "F32"}:
        raise CorpusError(
            f"{path} has a tensor {name} of the shape {found} and type {kind} instead of {shape} "
            "and F16 or F32; it is of another network and was removed, run the same command again"
        )
    with np.errstate(over="ignore"):  # the digest tells
        return np.asarray(file.get_tensor(name)).astype(np.float16)
