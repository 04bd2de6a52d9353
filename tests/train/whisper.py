"""Weights with the names and shapes of Whisper tiny.en, and what must become of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Published = dict[str, NDArray[Any]]


def published(kind: type[np.floating[Any]] = np.float16) -> Published:
    """Tensors with the names and shapes of Whisper tiny.en, each full of one number of its own."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (384, 80, 3),
        "conv1.bias": (384,),
        "conv2.weight": (384, 384, 3),
        "conv2.bias": (384,),
        "embed_positions.weight": (1500, 384),
        "layer_norm.weight": (384,),
    }
    for number in range(4):
        layer = f"layers.{number}."
        for name in ("self_attn.q_proj", "self_attn.v_proj", "self_attn.out_proj"):
            shapes[f"{layer}{name}.weight"], shapes[f"{layer}{name}.bias"] = (384, 384), (384,)
        shapes[f"{layer}self_attn.k_proj.weight"] = (384, 384)
        shapes[f"{layer}fc1.weight"], shapes[f"{layer}fc1.bias"] = (1536, 384), (1536,)
        shapes[f"{layer}fc2.weight"], shapes[f"{layer}fc2.bias"] = (384, 1536), (384,)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes[f"{layer}{name}.weight"], shapes[f"{layer}{name}.bias"] = (384,), (384,)
    tensors = {
        f"model.encoder.{name}": np.full(shape, number, kind)
        for number, (name, shape) in enumerate(shapes.items(), start=1)
    }
    return tensors | {"model.decoder.embed_tokens.weight": np.ones((8, 384), kind)}


def written(folder: Path, tensors: Published) -> Path:
    path = folder / "weights.safetensors"
    save_file(tensors, path)
    return path


def expected(tensors: Published) -> dict[str, NDArray[np.float16]]:
    """What must become of published tensors, written out name by name."""
    at = {name.removeprefix("model.encoder."): value for name, value in tensors.items()}
    kept = {
        "conv1/weight": at["conv1.weight"],
        "conv1/bias": at["conv1.bias"],
        "conv2/weight": at["conv2.weight"],
        "conv2/bias": at["conv2.bias"],
        "positions": at["embed_positions.weight"][:150],
    }
    for number in range(3):
        layer = f"layers.{number}."
        q, k, v = (at[f"{layer}self_attn.{one}_proj.weight"] for one in "qkv")
        q_bias, v_bias = (at[f"{layer}self_attn.{one}_proj.bias"] for one in "qv")
        block = {
            "attention/norm/gamma": at[f"{layer}self_attn_layer_norm.weight"],
            "attention/norm/beta": at[f"{layer}self_attn_layer_norm.bias"],
            "attention/qkv/weight": np.concatenate([q, k, v]),
            "attention/qkv/bias": np.concatenate([q_bias, np.zeros(384), v_bias]),
            "attention/out/weight": at[f"{layer}self_attn.out_proj.weight"],
            "attention/out/bias": at[f"{layer}self_attn.out_proj.bias"],
            "mlp/norm/gamma": at[f"{layer}final_layer_norm.weight"],
            "mlp/norm/beta": at[f"{layer}final_layer_norm.bias"],
            "mlp/in/weight": at[f"{layer}fc1.weight"],
            "mlp/in/bias": at[f"{layer}fc1.bias"],
            "mlp/out/weight": at[f"{layer}fc2.weight"],
            "mlp/out/bias": at[f"{layer}fc2.bias"],
        }
        kept |= {f"block_{number}/{name}": value for name, value in block.items()}
    return {name: value.astype(np.float16) for name, value in kept.items()}
