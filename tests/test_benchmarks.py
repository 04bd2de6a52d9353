"""The benchmark's own arithmetic: what it cannot see, no figure of the documents can."""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd.daemon.speech.vad import RATE_HZ
from benchmarks import hour, meter, pipeline, table
from benchmarks.household import Household, voiced, write
from benchmarks.stages import Stopwatch
from tests.conftest import ROOT


@pytest.fixture
def household(tmp_path: Path) -> Household:
    """Of the demo's speech and made noise, so that it is the same on every machine."""
    return Household(tmp_path)


@pytest.fixture
def readings(tmp_path: Path) -> list[hour.Said]:
    """Two readings, with a change of mood behind the first."""
    lines = [
        {"event": "mood", "mood": "idle", "since": "2026-01-01T00:00:00.000Z"},
        _utterance("2026-01-01T00:00:03.000Z", 0.25),
        {"event": "mood", "mood": "sad", "since": "2026-01-01T00:00:05.000Z"},
        _utterance("2026-01-01T00:00:09.599Z", 0.5),
    ]
    log = tmp_path / "readings.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return hour.readings(log, first_frame=100)


def _utterance(time_: str, sad: float) -> dict[str, Any]:
    fields = {"event": "utterance", "time": time_, "id": time_, "latency_ms": sad}
    return {**fields, "emotion": "sad", "duration_s": 3.0, "probabilities": {"sad": sad}}


def test_the_share_of_a_core_is_cpu_seconds_a_second() -> None:
    before, after = meter.Use(10.0, 1.0, 50.0, 60.0), meter.Use(30.0, 1.5, 50.0, 60.0)
    assert meter.cpu_share(before, after) == pytest.approx(0.025)


def test_what_a_process_has_used_is_what_the_kernel_says_to_itself() -> None:
    used = meter.use(os.getpid())
    assert used.cpu_s == pytest.approx(time.process_time(), abs=0.1)
    assert 10 < used.resident_mb <= used.peak_mb


def test_time_in_a_stage_within_another_is_counted_once() -> None:
    now = iter([0.0, 1.0, 4.0, 6.0])
    watch = Stopwatch(lambda: next(now))
    watch.call("outer", lambda: watch.call("inner", lambda: None))
    assert watch.spent_s == {"outer": 3.0, "inner": 3.0}


def test_silence_of_a_household_holds_no_speech(household: Household) -> None:
    assert not list(voiced(household.part("silence", 20.0)))


def test_unbroken_speech_is_speech_nearly_all_the_time(household: Household) -> None:
    speech = household.part("speech", 20.0)
    heard = sum(utterance.size for utterance in voiced(speech))
    assert speech.size == 20 * RATE_HZ
    assert heard > 0.85 * speech.size


def test_parts_lie_behind_each_other_where_they_are_said_to_be(
    household: Household, tmp_path: Path
) -> None:
    path = tmp_path / "recording.wav"
    silence, noise = write(path, household, [("silence", 1.0), ("noise", 0.5)])
    samples = np.memmap(path, np.int16, "r", 44)
    border = round(noise.start_s * RATE_HZ)
    assert (silence.end_s, noise.end_s * RATE_HZ) == (1.0, samples.size)
    assert np.abs(samples[:border]).max() < 100 < np.abs(samples[border:]).max()


def test_readings_lie_where_they_began_in_the_recording(readings: list[hour.Said]) -> None:
    assert [said.start_frame for said in readings] == [100, 320]
    assert readings[0].moods == [{"mood": "sad"}]


def test_equal_readings_do_not_differ(readings: list[hour.Said]) -> None:
    same = hour.compare(readings, copy.deepcopy(readings))
    assert (same.compared, same.moods, same.differences, same.largest) == (2, 1, [], 0.0)


def test_a_probability_that_differs_is_found_with_its_difference(
    readings: list[hour.Said],
) -> None:
    other = copy.deepcopy(readings)
    other[1].fields["probabilities"]["sad"] += 0.000_001
    found = hour.compare(readings, other)
    assert found.differences == ["reading 1: probabilities.sad is 0.5 and 0.500001"]
    assert found.largest == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda said: setattr(said[1], "start_frame", 321), "start_frame"),
        (lambda said: said[0].fields.update(emotion="calm"), "emotion"),
        (lambda said: said[0].moods.clear(), "moods.0.mood"),
        (lambda said: said[0].moods[0].update(mood="calm"), "moods.0.mood"),
        (lambda said: said.pop(), "2 readings are not 1"),
    ],
)
def test_every_other_difference_is_found_too(
    readings: list[hour.Said], change: Any, named: str
) -> None:
    other = copy.deepcopy(readings)
    change(other)
    (difference,) = hour.compare(readings, other).differences
    assert named in difference


@pytest.mark.parametrize(
    ("compared", "differences", "status"), [(5, [], 0), (5, ["one"], 1), (0, [], 1)]
)
def test_an_hour_fails_if_anything_differs_or_nothing_was_compared(
    compared: int, differences: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"compared": compared, "differences": differences}
    monkeypatch.setattr(hour, "hour", lambda *_: dict(figures))
    monkeypatch.setattr(sys, "argv", ["hour"])
    assert hour.main() == status


def test_a_recording_is_read_alike_at_pace_at_once_and_by_analyze(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.hour", "--minutes", "0.1", "--json"]
    command += ["--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["compared"] >= 1
    assert (figures["differ"], figures["largest_difference"]) == (0, 0.0)


def test_each_part_of_a_recording_has_its_own_figures(household: Household, tmp_path: Path) -> None:
    recording, parts = pipeline.record(tmp_path / "household.wav", household, 10.0)
    with pipeline.Bench(tmp_path) as bench:
        figures = bench.paced(recording, parts)
    assert figures["readings"]["silence"] == 0
    assert figures["readings"]["speech"] >= 1
    assert all(0 <= share < 1 for share in figures["cpu_share"].values())
    # The time in a payload has whole milliseconds.
    assert 0 < figures["daemon_ms"]["median"] < figures["seen_ms"]["median"] + 1
    assert 0 < figures["warm_mb"] <= figures["peak_mb"]


@pytest.mark.parametrize(("is_least", "reached"), [(False, "no"), (True, "yes")])
def test_a_figure_that_misses_its_target_is_told(is_least: bool, reached: str) -> None:
    row = table.Row("memory", "{:.0f} MB", "mb", 90, is_least=is_least)
    assert table.line(row, {"mb": 91.0, "ancestor": None}) == (
        f"| memory | 91 MB | {'>' if is_least else '<'} 90 MB | {reached} |  |"
    )
