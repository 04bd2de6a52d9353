"""What the speech gate lets through of noise, music and speech, and where it is set."""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.special import expit, logit

from affectd.train.conditions import Trials
from affectd.train.examples import Examples
from affectd.train.fits import Data, dealt
from affectd.train.folds import ALL
from affectd.train.gates import GateRun, made_of
from affectd.train.provenance import commit

HOUR_S: Final = 3600
NOISE_PER_HOUR: Final = 0.25  # household noises that pass the gate
TAIL: Final = 20  # of the noises most like speech that tell how rare surer ones are
EPSILON: Final = 1e-6
DRAWN: Final = 99  # thresholds of the curve of what each would let through


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
    """The threshold that lets NOISE_PER_HOUR household noises through, in all their voices.

    noise: its first corpus is household noise. Every gate judged the noises it had not learnt
    from; those of the fold `without` are left out, so that its test has no say in it. There are
    too few noises to count such rare ones, so the tail of the log odds is taken to fall
    exponentially, with the mean excess of the TAIL surest. Source: Hill (1975), A Simple General
    Approach to Inference About the Tail of a Distribution.
    """
    household = noise.clips[0].corpus
    p, hours = [], 0.0
    of_clip = np.array([clip.corpus == household for clip in noise.clips])
    for gate in gates:
        if gate.fold != without:
            here = noise.corpus[gate.rows["noise"]] == household
            p.append(gate.p["noise"][here])
            hours += float(noise.seconds[of_clip & (dealt(noise) == gate.fold)].sum() / HOUR_S)
    odds = np.sort(logit(np.clip(np.concatenate(p), EPSILON, 1 - EPSILON)))[::-1]
    if not odds.size:
        return 0.0
    count = min(TAIL, odds.size - 1)
    mean_excess = float((odds[:count] - odds[count]).mean()) if count else 0.0
    rarer = max(1.0, count / (hours * NOISE_PER_HOUR))
    return float(np.nextafter(expit(odds[count] + mean_excess * np.log(rarer)), 1))


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
