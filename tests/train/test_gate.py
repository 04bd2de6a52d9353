from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.special import expit, logit

from affectd.train import gate, sounds
from affectd.train.conditions import Trials
from affectd.train.corpora.corpus import Clip, CorpusError
from affectd.train.encoder import Encoder
from affectd.train.examples import Examples, statistics
from affectd.train.fits import Data, dealt, held_out
from affectd.train.folds import ALL
from affectd.train.gates import GateRun, fit_gate, made_of
from affectd.train.passing import gate_threshold, measure

SHAPE = (8, 6)  # time, width
NOISE_S = 5.0
FOLDS = range(1, 7)


def made_up(clips: list[Clip], centre: float, voices: int = 1) -> Examples:
    """Utterances whose frames lie about a centre, one of each clip by each voice."""
    clip = np.repeat(np.arange(len(clips)), voices)
    frames = np.random.default_rng(0).normal(centre, size=(len(clip), *SHAPE))
    return Examples(
        frames=frames.astype(np.float16),
        spectra=np.zeros((len(clip), 1, 1), np.float16),
        count=np.full(len(clip), SHAPE[0] - 2),
        clip=clip,
        condition=np.tile(np.arange(voices), len(clips)),
        clips=tuple(clips),
        seconds=np.full(len(clips), NOISE_S * voices),
    )


@pytest.fixture(scope="module")
def speech() -> Examples:
    speakers = [f"ravdess_{actor:02}" for actor in range(1, 25)]
    clips = [Clip(Path(), "ravdess", one, emotion) for one in speakers for emotion in range(4)]
    return made_up(clips, 0.5, voices=2)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Household noise, of which no fold has the same, and other sounds that only teach."""
    folder = tmp_path_factory.mktemp("household")
    paths = [folder / f"{number}.wav" for number in range(12)]
    for path in paths:
        soundfile.write(path, np.zeros(int(NOISE_S * 16_000), np.int16), 16_000)
    household = [Clip(path, "household", f"household_{path.stem}", -1) for path in paths]
    others = [Clip(Path(), "saws", f"saws_{number}", -1, is_tested=False) for number in range(12)]
    return made_up(household + others, -0.5)


@pytest.fixture(scope="module")
def data(speech: Examples, noise: Examples) -> Data:
    return Data(speech, Encoder(Path(), ""), noise=noise)


def judged(noise: Examples, fold: int, p: NDArray[np.float64] | float) -> GateRun:
    """A gate that took the noises of its fold for speech with some probabilities."""
    rows = held_out(noise, fold)
    alike = {"speech": np.ones(1), "noise": np.broadcast_to(np.float64(p), len(rows))}
    return GateRun(f"fold {fold}", 0, {"speech": np.zeros(1, np.int64), "noise": rows}, alike)


def test_the_gate_of_a_fold_tells_unseen_noises_from_unseen_speakers(data: Data) -> None:
    run = fit_gate(data, "fold 1", seed=0, steps=200)
    assert np.median(run.p["speech"]) > 0.8
    assert np.median(run.p["noise"]) < 0.2
    assert {data.examples.speaker[row] for row in run.rows["speech"]} == {
        f"ravdess_{actor}" for actor in ("01", "11", "20", "21")
    }


def test_the_gate_of_a_fold_does_not_learn_from_what_it_tests(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: dict[str, NDArray[Any]] = {}

    def fit(speech, speech_rows, noise, noise_rows, prior, steps, seed):  # type: ignore[no-untyped-def]
        learnt.update(speech=speech.speaker[speech_rows], noise=noise.clip[noise_rows])
        return gate.network(SHAPE)

    monkeypatch.setattr(gate, "fit", fit)
    run = fit_gate(data, "fold 2", seed=0, steps=1)
    assert data.noise is not None
    assert not set(learnt["noise"]) & set(data.noise.clip[run.rows["noise"]])
    assert not set(learnt["speech"]) & set(data.examples.speaker[run.rows["speech"]])
    assert len(set(learnt["noise"])) == 22
    assert len(set(learnt["speech"])) == 20


def test_the_gate_of_everything_carries_weights_and_the_statistics_of_all(data: Data) -> None:
    run = fit_gate(data, ALL, seed=0, steps=1)
    assert not run.p
    gate.network(SHAPE).set_weights(run.fitted)
    expected = statistics(data.examples, np.arange(len(data.examples.clip)))
    assert run.prior is not None
    np.testing.assert_array_equal(run.prior.mean, expected.mean)


def test_the_gate_of_a_fold_carries_no_weights(data: Data) -> None:
    assert not fit_gate(data, "fold 1", seed=0, steps=1).fitted


def test_the_gate_does_not_hear_padding(speech: Examples) -> None:
    model = gate.network(SHAPE)
    prior, rows = statistics(speech, np.arange(4)), np.arange(4)
    louder = speech.frames.copy()
    louder[:, -2:] = 99
    p = gate.probabilities(model, speech, rows, prior)
    np.testing.assert_array_equal(
        gate.probabilities(model, replace(speech, frames=louder), rows, prior), p
    )


def test_the_gate_is_small() -> None:
    assert 2 * gate.network((75, 384)).count_params() < 200_000  # bytes as float16


def test_every_noise_that_tests_is_held_out_by_one_fold(noise: Examples) -> None:
    rows = np.concatenate([held_out(noise, fold) for fold in FOLDS])
    assert sorted(rows) == list(range(12))


def test_the_threshold_is_where_one_noise_in_four_hours_passes(noise: Examples) -> None:
    hour = replace(noise, seconds=np.full(len(noise.clips), 300.0))
    random = np.random.default_rng(0)
    gates = []
    for fold in FOLDS:
        odds = random.exponential(size=(40, len(held_out(hour, fold))))
        gates += [judged(hour, fold, expit(one)) for one in odds]
    # In an hour twelve noises, whose odds pass x by exp(-x): one in four hours passes ln 48.
    assert logit(gate_threshold(hour, gates)) == pytest.approx(np.log(48), abs=0.8)


def test_the_noises_of_a_fold_have_no_say_in_its_threshold(noise: Examples) -> None:
    quiet = [judged(noise, 1, 0.9), judged(noise, 2, 0.2)]
    assert gate_threshold(noise, quiet, without=1) == pytest.approx(0.2)
    assert gate_threshold(noise, quiet, without=2) == pytest.approx(0.9)


def test_a_noise_passes_where_the_noises_of_other_folds_were_less_sure(data: Data) -> None:
    assert data.noise is not None
    noise = data.noise
    final = GateRun(ALL, 0, fitted=[np.zeros(1, np.float32)])
    made = measure(data, [judged(noise, 1, 0.9), judged(noise, 2, 0.2), final], 100)
    household = made["sounds"]["household"]
    assert household["passed"] == len(held_out(noise, 1)) > 0
    assert household["utterances"] == sum(len(held_out(noise, fold)) for fold in (1, 2))
    assert household["passed_per_hour"] == pytest.approx(
        household["passed"] / (household["utterances"] * NOISE_S / 3600)
    )
    assert (made["folds"], made["seeds"], made["speech_kept"]) == (2, 1, 1.0)
    assert (made["steps"], made["household"]) == (100, "household")
    assert made["runs"] == made_of(data, 100)
    kept = dict(zip(made["curve"]["threshold"], made["curve"]["household"], strict=True))
    assert kept[0.1] == 1
    assert kept[0.5] == pytest.approx(household["passed"] / household["utterances"], abs=1e-3)
    assert kept[0.95] == 0


def test_speech_under_trying_conditions_is_counted_by_condition(data: Data) -> None:
    assert data.noise is not None
    trials = replace(data.examples, condition=data.examples.condition * 4)
    gates = []
    for fold in (1, 2):
        run = judged(data.noise, fold, 0.5)
        run.rows["trials"] = np.arange(4)
        run.p["trials"] = np.where(trials.condition[:4] == 4, 0.9, 0.4)
        gates.append(run)
    kept = measure(replace(data, trials=trials), gates, 1)["kept_in_trials"]
    assert kept == {Trials.NAMES[0]: 0.0, Trials.NAMES[4]: 1.0}


def test_sounds_are_counted_as_recorded_and_not_in_virtual_voices(data: Data) -> None:
    assert data.noise is not None
    virtual = replace(data.noise, condition=np.arange(len(data.noise.clip)) % 2)
    gates = [judged(virtual, 1, 0.9), judged(virtual, 2, 0.2)]
    household = measure(replace(data, noise=virtual), gates, 1)["sounds"]["household"]
    rows = np.concatenate([held_out(virtual, fold) for fold in (1, 2)])
    assert household["utterances"] == (virtual.condition[rows] == 0).sum()
    clips = np.isin(dealt(virtual), (1, 2)).sum()
    assert household["hours"] == pytest.approx(NOISE_S * clips / 3600)


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
