from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.train import gate, sounds
from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples, statistics
from affectd.train.fits import Data, dealt, held_out
from affectd.train.gates import GateRun, gate_threshold, measure


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


def judged(noise: Examples, fold: int, p: NDArray[np.float64] | float) -> GateRun:
    """A gate that took the noises of its fold for speech with some probabilities."""
    rows = held_out(noise, fold)
    alike = {"speech": np.ones(1), "noise": np.broadcast_to(np.float64(p), len(rows))}
    return GateRun(fold, 0, {"speech": np.zeros(1, np.int64), "noise": rows}, alike)


def test_the_threshold_lets_half_a_noise_an_hour_through(noise: Examples) -> None:
    long = replace(noise, seconds=np.full(len(noise.clips), 900.0))
    random = np.random.default_rng(0)
    gates = [judged(long, fold, random.random(len(held_out(long, fold)))) for fold in range(6)]
    threshold = gate_threshold(long, gates)
    passed = sum((gate.p["noise"] >= threshold).sum() for gate in gates)
    assert passed == int(0.5 * len(long.clips) * 900 / 3600)


def test_the_noises_of_a_fold_have_no_say_in_its_threshold(noise: Examples) -> None:
    quiet = [judged(noise, 0, 0.9), judged(noise, 1, 0.2)]
    assert gate_threshold(noise, quiet, without=0) == pytest.approx(0.2)
    assert gate_threshold(noise, quiet) == pytest.approx(0.9)


def test_a_noise_passes_where_the_noises_of_other_folds_were_less_sure(
    examples: Examples, noise: Examples
) -> None:
    made = measure(Data(examples, noise=noise), [judged(noise, 0, 0.9), judged(noise, 1, 0.2)], 1)
    saws = made["sounds"]["sounds"]
    assert saws["passed"] == len(held_out(noise, 0)) > 0
    assert saws["utterances"] == sum(len(held_out(noise, fold)) for fold in (0, 1))
    assert saws["passed_per_hour"] == pytest.approx(saws["passed"] / saws["hours"])
    assert (made["folds"], made["seeds"], made["speech_kept"]) == (2, 1, 1.0)
    kept = dict(zip(made["curve"]["threshold"], made["curve"]["sounds"], strict=True))
    assert kept[0.1] == 1
    assert kept[0.5] == pytest.approx(saws["passed"] / saws["utterances"], abs=1e-3)
    assert kept[0.95] == 0


def test_sounds_are_counted_as_recorded_and_not_in_virtual_voices(
    examples: Examples, noise: Examples
) -> None:
    virtual = replace(noise, condition=np.arange(len(noise.clip)) % 2)
    data = Data(examples, noise=virtual)
    saws = measure(data, [judged(virtual, 0, 0.9), judged(virtual, 1, 0.2)], 1)["sounds"]["sounds"]
    rows = np.concatenate([held_out(virtual, fold) for fold in (0, 1)])
    assert saws["utterances"] == (virtual.condition[rows] == 0).sum()
    clips = np.isin(dealt(virtual), (0, 1)).sum()
    assert saws["hours"] == pytest.approx(5 * clips / 3600, rel=1e-2)  # recordings of 5 s


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
