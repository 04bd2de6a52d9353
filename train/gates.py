"""The speech gate on every fold: what of noise, music and speech it lets through."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.train.conditions import Trials
from affectd.train.examples import Examples, Statistics, digest, statistics
from affectd.train.fits import Data, dealt, held_out, quiet_one_thread, spoken, taught
from affectd.train.folds import ALL, FOLD, split
from affectd.train.provenance import commit
from affectd.train.stored import code_digest

# The modules beside this one that a gate depends on; with others, gates that are kept are refused.
FITTING: Final = ("examples", "fit", "fits", "folds", "gate", "gates", "networks")
HOUR_S: Final = 3600
NOISE_PER_HOUR: Final = 0.5  # household noises that pass the gate
DRAWN: Final = 99  # thresholds of the curve of what each would let through


@dataclass(frozen=True, slots=True, eq=False)
class GateRun:
    """The speech gate on one split with one seed: how surely what it has not learnt is speech.

    The gate of the split ALL has learnt everything: it has weights instead of probabilities.
    """

    split: str
    seed: int
    rows: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # speech, noise, …
    p: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # of the rows, that of speech
    fitted: list[NDArray[np.float32]] = field(default_factory=list)  # weights of gate.network
    prior: Statistics | None = None  # that the weights normalise with

    @property
    def fold(self) -> int:
        """The number of the fold that is tested."""
        return int(self.split.removeprefix(FOLD))


def made_of(data: Data, steps: int) -> dict[str, Any]:
    """Describe the gates of one folder: all have the same steps, data and code."""
    everything = digest(data.examples, data.trials, data.noise, data.plain)
    return {"gate_steps": steps, "data": everything, "code": code_digest(FITTING)}


def fit_gate(data: Data, name: str, seed: int, steps: int) -> GateRun:
    """Fit the gate without the speakers and the sounds that the split tests.

    name: a fold's, or ALL.
    """
    quiet_one_thread()
    from affectd.train import gate

    examples, noise = data.examples, data.noise
    assert noise is not None  # noqa: S101
    rows = spoken(data, name)
    prior = statistics(examples, taught(data, name))  # that of the networks beside it
    is_held = np.zeros(len(noise.clip), bool)
    if name != ALL:
        is_held[held_out(noise, GateRun(name, seed).fold)] = True
    noise_rows = np.flatnonzero(noise.is_learnt & ~is_held)
    model = gate.fit(examples, rows, noise, noise_rows, prior, steps, seed)
    if name == ALL:
        return GateRun(name, seed, fitted=model.get_weights(), prior=prior)
    held = _held(data, name)
    return GateRun(
        split=name,
        seed=seed,
        rows={kind: of for kind, (_, of) in held.items()},
        p={kind: gate.probabilities(model, *of, prior) for kind, of in held.items()},
    )


def _held(data: Data, name: str) -> dict[str, tuple[Examples, NDArray[np.int64]]]:
    """Give examples, and rows of them, that a fold's gate has not learnt from, by kind."""
    tested, fold = split(data.examples, name).test, GateRun(name, 0).fold
    held = {"speech": (data.examples, tested)}
    for kind, sounds in (("noise", data.noise), ("plain", data.plain)):
        if sounds is not None:
            held[kind] = (sounds, held_out(sounds, fold))
    if data.trials is not None:
        testers = np.unique(data.examples.speaker[tested])
        held["trials"] = (data.trials, np.flatnonzero(np.isin(data.trials.speaker, testers)))
    return held


def measure(data: Data, runs: Sequence[GateRun], steps: int) -> dict[str, Any]:
    """Measure what the gates of the folds let through, at the threshold of other folds' noises.

    Sounds and plain speech are those that a fold has not taught to its gate, as recorded: their
    virtual voices lie in rooms and noises that are learnt from. Of what passes the networks call
    some `unknown`, so that there are no more readings than this.
    """
    noise = data.noise
    assert noise is not None  # noqa: S101
    gates = [run for run in runs if run.split != ALL]
    open_at = {fold: gate_threshold(noise, gates, without=fold) for fold in {g.fold for g in gates}}
    counts: dict[str, list[dict[str, float]]] = {}
    speech: list[float] = []
    trials: dict[str, list[float]] = {}
    for gate in gates:
        passes = {name: p >= open_at[gate.fold] for name, p in gate.p.items()}
        speech.append(float(passes["speech"].mean()))
        for kind, sounds in (("noise", noise), ("plain", data.plain)):
            if sounds is not None:
                for name, count in _counted(sounds, gate, gate.rows[kind], passes[kind]).items():
                    counts.setdefault(name, []).append(count)
        if data.trials is not None:
            for name, kept in _by_condition(data.trials, gate, passes["trials"]):
                trials.setdefault(name, []).append(kept)
    return {
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "folds": len(open_at),
        "seeds": len({gate.seed for gate in gates}),
        "steps": steps,
        "runs": made_of(data, steps),
        "threshold": gate_threshold(noise, gates),
        "household": noise.clips[0].corpus,
        "speech_kept": float(np.mean(speech)),
        "kept_in_trials": {name: float(np.mean(kept)) for name, kept in trials.items()},
        "sounds": {name: _summed(of_runs) for name, of_runs in counts.items()},
        "curve": _curve(data, noise, gates),
    }


def gate_threshold(noise: Examples, gates: Sequence[GateRun], without: int | None = None) -> float:
    """The lowest threshold that lets NOISE_PER_HOUR household noises through, in all their voices.

    noise: its first corpus is household noise. Every gate judged the noises it had not learnt
    from; those of the fold `without` are left out, so that its test has no say in it.
    """
    household = noise.clips[0].corpus
    p, hours = [], 0.0
    of_clip = np.array([clip.corpus == household for clip in noise.clips])
    for gate in gates:
        if gate.fold != without:
            here = noise.corpus[gate.rows["noise"]] == household
            p.append(gate.p["noise"][here])
            hours += float(noise.seconds[of_clip & (dealt(noise) == gate.fold)].sum() / HOUR_S)
    surest = np.sort(np.concatenate(p))[::-1]
    allowed = int(NOISE_PER_HOUR * hours)
    if allowed >= len(surest):
        return 0.0
    return float(np.nextafter(surest[allowed], 1))


def _by_condition(
    trials: Examples, gate: GateRun, passed: NDArray[np.bool_]
) -> Iterator[tuple[str, float]]:
    """Give the share that passes under each trying condition in which there is an utterance."""
    condition = trials.condition[gate.rows["trials"]]
    for number, name in enumerate(Trials.NAMES):
        if (here := condition == number).any():
            yield name, float(passed[here].mean())


def _counted(
    sounds: Examples, gate: GateRun, rows: NDArray[np.int64], passed: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Count, by corpus, the utterances in a fold's sounds as recorded, and those that pass."""
    as_recorded = sounds.condition[rows] == 0
    clips = np.flatnonzero(dealt(sounds) == gate.fold)
    counts = {}
    for name in dict.fromkeys(sounds.clips[clip].corpus for clip in clips):
        here = as_recorded & (sounds.corpus[rows] == name)
        paths = [sounds.clips[clip].path for clip in clips if sounds.clips[clip].corpus == name]
        counts[name] = {
            "hours": sum(map(_seconds, paths)) / HOUR_S,
            "utterances": float(here.sum()),
            "passed": float((here & passed).sum()),
        }
    return counts


def _summed(of_runs: list[dict[str, float]]) -> dict[str, float]:
    total = {key: float(sum(one[key] for one in of_runs)) for key in of_runs[0]}
    return total | {"passed_per_hour": total["passed"] / total["hours"]}


def _curve(data: Data, noise: Examples, gates: Sequence[GateRun]) -> dict[str, list[float]]:
    """Give the share of utterances that every threshold would let through, by kind."""
    of_kind: dict[str, list[NDArray[np.float64]]] = {}
    for gate in gates:
        of_kind.setdefault("test actors", []).append(gate.p["speech"])
        for kind, sounds in (("noise", noise), ("plain", data.plain)):
            if sounds is not None:
                rows = gate.rows[kind]
                as_recorded = sounds.condition[rows] == 0
                for name in np.unique(sounds.corpus[rows]):
                    here = as_recorded & (sounds.corpus[rows] == name)
                    of_kind.setdefault(str(name), []).append(gate.p[kind][here])
    thresholds = np.linspace(0, 1, DRAWN + 2)[1:-1]
    curve = {"threshold": [round(float(one), 2) for one in thresholds]}
    for name, several in of_kind.items():
        p = np.concatenate(several)
        curve[name] = [round(float((p >= one).mean()), 4) for one in thresholds]
    return curve


@cache
def _seconds(path: Path) -> float:
    return float(soundfile.info(path).duration)
