import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon.publish.rotating_file import FILES, RotatingFile
from tests.conftest import wait_until

DAY_S = 86_400.0


@dataclass
class Clocks:
    """A wall clock that may be set, and one that goes on by itself."""

    wall: float = 1_800_000_000.0
    running: float = 1000.0

    def wall_s(self) -> float:
        return self.wall

    def running_s(self) -> float:
        return self.running

    def pass_days(self, days: float) -> None:
        self.wall += days * DAY_S
        self.running += days * DAY_S


class Machine:
    """A log of 4 days in 1200 bytes on a machine whose clocks are in our hands."""

    def __init__(self, path: Path, most_bytes: float = 1200) -> None:
        self.path, self.clocks, self._most_bytes = path, Clocks(), most_bytes
        self.start()

    def start(self) -> None:
        clocks = self.clocks
        self.file = RotatingFile(
            self.path,
            self._most_bytes,
            4 * DAY_S,
            wall_s=clocks.wall_s,
            running_s=clocks.running_s,
        )

    def restart(self) -> None:
        self.file.close()
        self.start()

    def write(self, number: int) -> None:
        time_ = datetime.fromtimestamp(self.clocks.wall, UTC).isoformat()
        self.file.append(json.dumps({"n": number, "time": time_}).encode() + b"\n")
        os.utime(self.path, (self.clocks.wall, self.clocks.wall))  # as if the system's were ours

    def kept(self) -> list[list[int]]:
        """The numbers in each file, the newest file last."""
        return [numbers(path) for path in reversed(files(self.path)) if path.exists()]


def files(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, FILES + 3))]


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "readings.jsonl")
    yield machine
    machine.file.close()


@given(
    sizes=st.lists(st.integers(0, 290), max_size=120),
    restarts=st.sets(st.integers(0, 120)),
    moves=st.sets(st.integers(0, 120), max_size=5),
)
def test_no_line_is_lost_or_torn_but_the_oldest_and_the_bound_holds(
    sizes: list[int], restarts: set[int], moves: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, moved, lines = Path(folder) / "readings.jsonl", [], []
        file = RotatingFile(path, 1200, 4 * DAY_S)
        for number, size in enumerate(sizes):
            if number in restarts:
                file.close()
                file = RotatingFile(path, 1200, 4 * DAY_S)
            if number in moves:  # as logrotate does, elsewhere
                moved += path.read_bytes().splitlines(keepends=True)
                path.unlink()
            line = f"{number}:".encode() + b"x" * size + b"\n"
            file.append(line)
            lines.append(line)
            there = [one for one in reversed(files(path)) if one.exists()]
            kept = [row for one in there for row in one.read_bytes().splitlines(keepends=True)]
            expected = [row for row in lines if row not in moved]
            assert kept == expected[len(expected) - len(kept) :]
            assert kept[-1] == line
            assert sum(one.stat().st_size for one in there) <= 1200
            # Something goes only where the newest file and another one would not fit into one.
            if len(kept) < len(expected):
                assert len(there) == FILES
        file.close()


def test_a_line_that_is_larger_than_a_file_may_be_is_written_all_the_same(machine: Machine) -> None:
    machine.file.append(b"x" * 5000 + b"\n")
    assert machine.path.stat().st_size == 5001


def test_the_file_is_rotated_after_its_part_of_the_days(machine: Machine) -> None:
    for number in range(6):
        machine.write(number)
        machine.clocks.pass_days(1)
    assert machine.kept() == [[2], [3], [4], [5]]
    assert numbers(files(machine.path)[3]) == [2]


def test_what_is_older_than_the_days_goes_though_nothing_is_written(machine: Machine) -> None:
    machine.write(1)
    for _ in range(3):
        machine.clocks.pass_days(1)
        machine.file.rotate_if_due()
        assert [1] in machine.kept()
    machine.clocks.pass_days(1)
    machine.file.rotate_if_due()
    assert machine.kept() == [[]]


def test_a_removed_file_takes_no_older_ones_with_it(machine: Machine) -> None:
    for number in range(4):
        machine.write(number)
        machine.clocks.pass_days(1)
    machine.path.unlink()
    for _ in range(5):
        machine.file.rotate_if_due()
    assert machine.kept() == [[0], [1], [2], []]


def test_the_age_of_the_file_survives_restarts(machine: Machine) -> None:
    machine.write(0)
    for number in range(1, 5):
        machine.clocks.pass_days(0.24)
        machine.restart()
        machine.write(number)
    machine.clocks.pass_days(0.1)
    machine.restart()
    machine.write(5)
    assert machine.kept() == [[0, 1, 2, 3, 4], [5]]


@pytest.mark.parametrize("leap_days", [20_000, -20_000])
def test_a_clock_that_is_set_while_it_runs_destroys_nothing(
    machine: Machine, leap_days: float
) -> None:
    for number in range(9):
        machine.write(number)
        machine.clocks.wall += leap_days * DAY_S * (-1) ** number
        machine.file.rotate_if_due()
    assert [number for part in machine.kept() for number in part] == list(range(9))


@pytest.mark.parametrize("leap_days", [20_000, -15_000])
def test_a_clock_that_is_wrong_at_each_start_destroys_nothing(
    machine: Machine, leap_days: float
) -> None:
    for number in range(8):
        machine.clocks.wall += leap_days * DAY_S * (-1) ** number
        machine.restart()
        machine.write(number)
    assert [number for part in machine.kept() for number in part] == list(range(8))


def test_a_first_line_that_tells_no_time_counts_from_the_last_one(machine: Machine) -> None:
    machine.path.write_text("what is this?\n")
    os.utime(machine.path, (machine.clocks.wall, machine.clocks.wall))
    machine.restart()
    machine.clocks.pass_days(0.9)
    machine.write(1)
    assert machine.path.read_text().startswith("what is this?\n")
    machine.clocks.pass_days(0.2)
    machine.write(2)
    assert numbers(machine.path) == [2]


def test_a_larger_file_of_before_is_rotated_at_the_next_line(machine: Machine) -> None:
    machine.path.write_bytes(b'{"n":0}\n' * 1000)
    machine.restart()
    machine.write(1)
    assert numbers(machine.path) == [1]
    assert files(machine.path)[1].stat().st_size == 8000


def test_what_a_link_leads_to_is_written_and_not_rotated(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    machine = Machine(tmp_path / "link")
    for number in range(30):
        machine.write(number)
    assert numbers(tmp_path / "file") == list(range(30))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}
    machine.file.close()


def test_a_file_that_cannot_be_rotated_is_told_once_and_written_on(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = files(machine.path)[FILES - 1]
    in_the_way.mkdir()
    for number in range(20):
        machine.write(number)
    assert numbers(machine.path) == list(range(20))
    assert caplog.text.count("cannot be rotated (Is a directory), and grows on; set log.path") == 1
    in_the_way.rmdir()
    machine.write(20)
    assert machine.kept() == [list(range(20)), [20]]


def test_rotated_files_are_this_users_and_its_groups_alone(machine: Machine) -> None:
    for number in range(30):
        machine.write(number)
    for path in files(machine.path)[:FILES]:
        assert path.stat().st_mode & 0o137 == 0, path


def test_tail_shows_each_line_at_once_over_rotations(machine: Machine, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with seen.open("w") as out:
        tail = subprocess.Popen(
            ["tail", "-n", "+1", "-F", "-s", "0.05", machine.path],
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    try:
        for number in range(20):
            machine.write(number)
            wait_until(lambda: numbers(seen)[-1:] == [number], f"line {number} is seen", 60)  # noqa: B023
        assert numbers(seen) == list(range(20))
        assert files(machine.path)[1].exists()
    finally:
        tail.kill()
        tail.wait()


def test_a_kill_at_any_instant_leaves_whole_lines_in_order(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    program = (
        "import sys; from pathlib import Path\n"
        "from affectd.daemon.publish.rotating_file import RotatingFile\n"
        "file, n = RotatingFile(Path(sys.argv[1]), 1200, 1e6), int(sys.argv[2])\n"
        "while True:\n"
        "    file.append(b'{\"n\":%d}\\n' % n)\n"
        "    n += 1\n"
    )
    begin = 0
    for kill in range(5):
        writer = subprocess.Popen([sys.executable, "-c", program, path, str(begin)])
        wait_until(lambda: newest(path) > begin + 200 * kill, "it writes", 60)  # noqa: B023
        writer.kill()
        writer.wait()
        kept = [n for one in reversed(files(path)) if one.exists() for n in numbers(one)]
        assert kept == list(range(kept[0], kept[-1] + 1))
        assert len([one for one in files(path) if one.exists()]) <= FILES
        begin = kept[-1] + 1


def newest(path: Path) -> int:
    for one in files(path):
        with suppress(FileNotFoundError):  # it is being rotated
            if found := numbers(one):
                return found[-1]
    return -1
