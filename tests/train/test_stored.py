from pathlib import Path

import pytest

from affectd.train.stored import StoredError, keep, load, replacing, write_text


def write_half(path: Path) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("ha")
        raise OSError("the disk is full")


def test_a_file_stays_whole_if_its_replacement_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_text("whole", path)
    with pytest.raises(OSError, match="disk is full"):
        write_half(path)
    assert path.read_text() == "whole"


def test_results_whose_names_differ_in_the_suffix_do_not_meet_while_written(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as one, replacing(tmp_path / "a.joblib") as other:
        one.write_text("1")
        other.write_text("2")
    assert (tmp_path / "a.json").read_text() == "1"


def test_a_result_is_kept_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a.joblib"
    keep([1, 2], path)
    assert load(path) == [1, 2]
    assert list(path.parent.iterdir()) == [path]


def test_a_result_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoredError, match=r"a\.joblib cannot be read \(No such file"):
        load(tmp_path / "a.joblib")
