"""The speech gate fitted on every fold and on everything."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectd.train.examples import Examples, Statistics, digest, statistics
from affectd.train.fits import Data, held_out, quiet_one_thread, spoken, taught
from affectd.train.folds import ALL, FOLD, split
from affectd.train.stored import code_digest

# The modules beside this one that a gate depends on; with others, gates that are kept are refused.
FITTING: Final = ("examples", "fit", "fits", "folds", "gate", "gates", "networks")


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
