"""The speech gate on every fold: what of noise, music and speech it lets through."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.train.conditions import Trials
from affectd.train.examples import Examples, digest, statistics
from affectd.train.fits import Data, dealt, held_out, learnt, quiet_one_thread, taught
from affectd.train.folds import split
from affectd.train.provenance import commit

HOUR_S: Final = 3600
NOISE_PER_HOUR: Final = 0.5  # household noises that pass the gate
DRAWN: Final = 99  # thresholds of the curve of what each would let through


@dataclass(frozen=True, slots=True, eq=False)
class GateRun:
    """The speech gate on one fold with one seed: what of the fold's own part is how surely speech.

    rows: of examples (`speech`), trials, noise and plain; p: the probability that each is speech.
    """

    fold: int
    seed: int
    rows: dict[str, NDArray[np.int64]]
    p: dict[str, NDArray[np.float64]]
    took_s: float = 0.0  # to fit and to ask, on one thread


def fit_gate(data: Data, fold: int, seed: int, epochs: int) -> GateRun:
    """Fit the gate without test and validation speakers, and the sounds that the fold tests."""
    began = time.monotonic()
    quiet_one_thread()
    from affectd.train import gate

    examples, noise = data.examples, data.noise
    assert noise is not None  # noqa: S101
    parts = split(examples, fold, seed)
    rows = taught(data, parts, fold)
    prior = statistics(examples, rows)
    noise_rows = np.flatnonzero(learnt(noise) & (dealt(noise)[noise.clip] != fold))
    fitted = gate.fit(examples, rows, noise, noise_rows, prior, epochs, seed)
    held = {"speech": (examples, parts.test), "noise": (noise, held_out(noise, fold))}
    if data.plain is not None:
        held["plain"] = (data.plain, held_out(data.plain, fold))
    if data.trials is not None:
        testers = np.unique(examples.speaker[parts.test])
        held["trials"] = (data.trials, np.flatnonzero(np.isin(data.trials.speaker, testers)))
    return GateRun(
        fold=fold,
        seed=seed,
        rows={name: of for name, (_, of) in held.items()},
        p={n: gate.probabilities(fitted, of, rows, prior) for n, (of, rows) in held.items()},
        took_s=time.monotonic() - began,
    )


def measure(data: Data, gates: Sequence[GateRun], epochs: int) -> dict[str, Any]:
    """What the gates let through, each at the threshold that the noises of other folds give.

    Sounds and plain speech are those that a fold has not taught to its gate, as recorded: their
    virtual voices lie in rooms and noises that are learnt from. Of what passes the networks call
    some `unknown`, so that there are no more readings than this.
    """
    noise = data.noise
    assert noise is not None  # noqa: S101
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
            condition = data.trials.condition[gate.rows["trials"]]
            for number, name in enumerate(Trials.NAMES):
                kept = float(passes["trials"][condition == number].mean())
                trials.setdefault(name, []).append(kept)
    return {
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fitted_s": round(sum(gate.took_s for gate in gates)),
        "folds": len(open_at),
        "seeds": len({gate.seed for gate in gates}),
        "epochs": epochs,
        "noise": digest(noise),
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


def _counted(
    sounds: Examples, gate: GateRun, rows: NDArray[np.int64], passed: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """By corpus, what of a fold's sounds as recorded is heard and what passes."""
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
    """What every threshold would let through: shares of utterances, by kind."""
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
