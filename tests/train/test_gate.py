from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affectd.train import gate, sounds
from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples, statistics
from affectd.train.fits import GateRun, dealt, held_out
from affectd.train.readings import _Count, gate_threshold


def test_the_gate_tells_unseen_saws_from_unseen_speakers(
    examples: Examples, noise: Examples
) -> None:
    unseen = examples.speaker == "ravdess_11"
    prior = statistics(examples, np.flatnonzero(~unseen))
    saws = dealt(noise)[noise.clip] == 0
    fitted = gate.fit(
        examples, np.flatnonzero(~unseen), noise, np.flatnonzero(~saws), prior, epochs=3, seed=0
    )
    speech = gate.probabilities(fitted, examples, np.flatnonzero(unseen), prior)
    other = gate.probabilities(fitted, noise, np.flatnonzero(saws), prior)
    assert np.median(speech) > 0.7
    assert np.median(other) < 0.3


def test_every_sound_is_held_out_by_one_fold(noise: Examples) -> None:
    rows = np.concatenate([held_out(noise, fold) for fold in range(6)])
    assert sorted(rows) == list(range(len(noise.clip)))


def test_the_threshold_lets_half_a_noise_an_hour_through(noise: Examples) -> None:
    long = replace(noise, seconds=np.full(len(noise.clips), 900.0))
    gates = []
    for fold in range(6):
        rows = held_out(long, fold)
        p = np.random.default_rng(fold).random(len(rows))
        gates.append(GateRun(fold, 0, np.ones(1), {"noise": rows}, {"noise": p}))
    threshold = gate_threshold(long, gates)
    passed = sum((gate.p["noise"] >= threshold).sum() for gate in gates)
    assert passed == int(0.5 * len(long.clips) * 900 / 3600)


def test_the_noises_of_a_fold_have_no_say_in_its_threshold(noise: Examples) -> None:
    quiet = [
        GateRun(
            f,
            0,
            np.ones(1),
            {"noise": held_out(noise, f)},
            {"noise": np.full(len(held_out(noise, f)), p)},
        )
        for f, p in ((0, 0.9), (1, 0.2))
    ]
    assert gate_threshold(noise, quiet, without=0) == pytest.approx(0.2)
    assert gate_threshold(noise, quiet) == pytest.approx(0.9)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no recordings"):
        sounds.load(tmp_path, "sounds")


def test_one_reader_and_one_recording_in_parts_are_one_speaker(tmp_path: Path) -> None:
    for name in ("84-121123-0001", "84-121550-0000", "3-68630-A-40", "3-68630-C-40", "tap_1"):
        (tmp_path / f"{name}.wav").touch()
    clips = sounds.load(tmp_path, "sounds").clips
    speakers = {clip.path.stem: clip.speaker for clip in clips}
    assert speakers["84-121123-0001"] == speakers["84-121550-0000"]
    assert speakers["3-68630-A-40"] == speakers["3-68630-C-40"]
    assert len(set(speakers.values())) == 3


def test_sounds_are_counted_as_recorded_and_not_in_virtual_voices(noise: Examples) -> None:
    rows = np.arange(len(noise.clip))
    condition = rows % 2
    counts = _Count()
    passed = np.ones(len(rows), bool)
    counts.add(
        replace(noise, condition=condition), np.array([0, 1]), rows, passed, passed, rows % 8
    )
    figures = counts.figures()["sounds"]
    assert figures["utterances"] == figures["readings"] == (condition == 0).sum()
    assert figures["hours"] == pytest.approx(10 / 3600, rel=1e-2)  # two recordings of 5 s
