from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train.corpora import encoder_file
from affectd.train.corpora.corpus import CorpusError
from affectd.train.corpora.encoder_file import convert, digest, load
from affectd.train.corpora.sources import ENCODER
from tests.conftest import DATA
from tests.train.whisper import Published, expected, published, written

REAL = DATA.parent / "encoder" / encoder_file.NAME


@pytest.fixture(scope="module")
def tensors() -> Published:
    return published()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_convolutions_and_three_blocks_are_kept_in_float16(
    kind: type[np.floating[Any]], tmp_path: Path
) -> None:
    given = published(kind)
    wanted = expected(given)
    convert(written(tmp_path, given), tmp_path / "encoder.npz", digest(wanted))
    found = load(tmp_path / "encoder.npz", digest(wanted))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == np.float16


def test_the_publishers_file_is_removed_once_it_is_converted(
    tensors: Published, tmp_path: Path
) -> None:
    convert(written(tmp_path, tensors), tmp_path / "encoder.npz", digest(expected(tensors)))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.npz"]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "layers.2.self_attn.q_proj.bias",
            None,
            r"weights.safetensors has no tensor model.encoder.layers.2.self_attn.q_proj.bias, "
            r"which must have the shape \(384,\)",
        ),
        (
            "conv1.weight",
            np.zeros((512, 80, 3), np.float16),
            r"weights.safetensors has a tensor model.encoder.conv1.weight of the shape "
            r"\(512, 80, 3\) and type F16 instead of \(384, 80, 3\)",
        ),
        (
            "layers.0.fc1.bias",
            np.zeros(1536, np.int8),
            r"layers.0.fc1.bias of the shape \(1536,\) and type I8 instead of .* and F16 or F32",
        ),
    ],
)
def test_a_tensor_that_is_missing_or_of_another_shape_is_an_error_and_nothing_is_written(
    name: str, given: NDArray[Any] | None, message: str, tensors: Published, tmp_path: Path
) -> None:
    changed = {one: value for one, value in tensors.items() if one != f"model.encoder.{name}"}
    if given is not None:
        changed[f"model.encoder.{name}"] = given
    with pytest.raises(CorpusError, match=message):
        convert(written(tmp_path, changed), tmp_path / "encoder.npz", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [9.0, 1e6])
def test_other_numbers_are_an_error_and_nothing_is_written(
    number: float, tensors: Published, tmp_path: Path
) -> None:
    changed = tensors | {"model.encoder.conv1.bias": np.full(384, number, np.float32)}
    with pytest.raises(CorpusError, match=r"the tensors in .* have the SHA-256 .* instead of"):
        convert(written(tmp_path, changed), tmp_path / "encoder.npz", digest(expected(tensors)))
    assert list(tmp_path.iterdir()) == []


def test_tensors_that_affectd_does_not_keep_may_be_any(tensors: Published, tmp_path: Path) -> None:
    changed = tensors | {"model.encoder.layers.3.fc1.bias": np.zeros(1536, np.float16)}
    convert(written(tmp_path, changed), tmp_path / "encoder.npz", digest(expected(tensors)))
    assert (tmp_path / "encoder.npz").is_file()


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>"])
def test_a_file_that_is_no_safetensors_file_is_an_error_and_is_removed(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(CorpusError, match=r"is no sound safetensors file .* and was removed"):
        convert(tmp_path / "weights.safetensors", tmp_path / "encoder.npz", "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_that_keeps_what_was_downloaded(
    tensors: Published, tmp_path: Path
) -> None:
    weights = written(tmp_path, tensors)
    target = tmp_path / "nowhere" / "encoder.npz"
    with pytest.raises(CorpusError, match=r"encoder.npz cannot be written .*; make room or choose"):
        convert(weights, target, digest(expected(tensors)))
    assert weights.is_file()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_file_that_is_no_encoder_is_an_error_that_says_how_to_get_one(
    content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "encoder.npz").write_bytes(content)
    with pytest.raises(CorpusError, match=r"cannot be read as an encoder .*train fetch encoder"):
        load(tmp_path / "encoder.npz", "")


def test_an_encoder_with_other_numbers_is_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "encoder.npz", **{"conv1/bias": np.zeros(384, np.float16)})
    with pytest.raises(CorpusError, match=r"have the SHA-256 .* instead of 00; run `affectd train"):
        load(tmp_path / "encoder.npz", "00")


def test_the_digest_does_not_depend_on_the_order_of_the_tensors() -> None:
    one, two = np.ones(3, np.float16), np.zeros((2, 2), np.float16)
    assert digest({"a": one, "b": two}) == digest({"b": two, "a": one})


@pytest.mark.parametrize("other", [{"a": np.zeros(3)}, {"b": np.ones(3)}, {"a": np.ones(4)}])
def test_the_digest_changes_with_names_and_numbers(other: dict[str, NDArray[Any]]) -> None:
    assert digest(other) != digest({"a": np.ones(3)})


# The real one.


@pytest.fixture(scope="module")
def real() -> dict[str, NDArray[np.float16]]:
    if not REAL.is_file():
        pytest.skip(f"the encoder is not beside this checkout ({REAL})")
    return load(REAL, ENCODER.digest)


def test_the_stated_digest_is_that_of_the_encoder_that_networks_were_fitted_on(
    real: dict[str, NDArray[np.float16]],
) -> None:
    assert digest(real) == ENCODER.digest


def test_the_real_tensors_under_their_published_names_convert_to_the_same(
    real: dict[str, NDArray[np.float16]], tmp_path: Path
) -> None:
    given: Published = {
        "conv1.weight": real["conv1/weight"],
        "conv1.bias": real["conv1/bias"],
        "conv2.weight": real["conv2/weight"],
        "conv2.bias": real["conv2/bias"],
        "embed_positions.weight": np.pad(real["positions"], ((0, 1350), (0, 0))),
    }
    for number in range(3):
        block, layer = f"block_{number}/", f"layers.{number}."
        for one, part in zip("qkv", np.split(real[f"{block}attention/qkv/weight"], 3), strict=True):
            given[f"{layer}self_attn.{one}_proj.weight"] = part
        for one, part in zip("qkv", np.split(real[f"{block}attention/qkv/bias"], 3), strict=True):
            if one != "k":
                given[f"{layer}self_attn.{one}_proj.bias"] = part
        for theirs, ours in (
            ("self_attn.out_proj", "attention/out"),
            ("fc1", "mlp/in"),
            ("fc2", "mlp/out"),
        ):
            given[f"{layer}{theirs}.weight"] = real[f"{block}{ours}/weight"]
            given[f"{layer}{theirs}.bias"] = real[f"{block}{ours}/bias"]
        for theirs, ours in (("self_attn_layer_norm", "attention"), ("final_layer_norm", "mlp")):
            given[f"{layer}{theirs}.weight"] = real[f"{block}{ours}/norm/gamma"]
            given[f"{layer}{theirs}.bias"] = real[f"{block}{ours}/norm/beta"]
    weights = written(
        tmp_path,
        {f"model.encoder.{name}": value.astype(np.float32) for name, value in given.items()},
    )
    convert(weights, tmp_path / "encoder.npz", ENCODER.digest)
    assert (tmp_path / "encoder.npz").stat().st_size == REAL.stat().st_size
