from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.train import rooms


def response(path: Path) -> NDArray[np.float64]:
    samples, rate_hz = soundfile.read(path)
    assert rate_hz == 16_000
    return np.asarray(samples)


def test_the_same_seed_makes_the_same_files(boxes: tuple[Path, ...], tmp_path: Path) -> None:
    again = rooms.synthesise(tmp_path, count=2)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in boxes[:2]]


def test_each_room_and_each_seed_is_another_room(boxes: tuple[Path, ...], tmp_path: Path) -> None:
    (other,) = rooms.synthesise(tmp_path, count=1, seed=1)
    assert len({path.read_bytes() for path in (*boxes, other)}) == len(boxes) + 1


def test_a_room_decays(boxes: tuple[Path, ...]) -> None:
    for path in boxes:
        samples = response(path)
        samples = samples[np.abs(samples).argmax() :]
        early, late = ((part**2).mean() for part in (samples[:800], samples[-800:]))
        assert late < early / 100


def test_a_room_is_at_most_a_second_long_and_not_clipped(boxes: tuple[Path, ...]) -> None:
    for path in boxes:
        samples = response(path)
        assert 1_600 < samples.size <= 16_000
        assert np.abs(samples).max() == pytest.approx(0.9, abs=1e-3)


def test_rooms_that_are_there_are_kept_and_those_that_miss_are_made(
    boxes: tuple[Path, ...], tmp_path: Path
) -> None:
    first, second = rooms.synthesise(tmp_path, count=2)
    first.write_bytes(b"kept")
    second.unlink()
    assert rooms.synthesise(tmp_path, count=2) == (first, second)
    assert first.read_bytes() == b"kept"
    assert second.read_bytes() == boxes[1].read_bytes()
    assert {path.suffix for path in tmp_path.iterdir()} == {".flac"}


def test_a_large_room_that_cannot_be_dead_reverberates_longer() -> None:
    absorption, order = rooms._walls(0.15, [8.0, 7.0, 3.5])
    assert 0 < absorption <= 1
    assert order > 0
