"""What a daemon would publish of noise, of plain speech, and of actors it has never heard."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.daemon.emotion.decision import soften
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import QUIET
from affectd.train.conditions import Trials
from affectd.train.evaluate import by_fold
from affectd.train.examples import Examples
from affectd.train.fits import SERVED, Data, GateRun, Run, dealt
from affectd.train.runs import JOINED

HOUR_S: Final = 3600
NOISE_PER_HOUR: Final = 0.5  # household noises that pass the gate; fewer become readings


def readings(
    data: Data, noise_heard: Examples, runs: Sequence[Run], gates: Sequence[GateRun]
) -> dict[str, Any]:
    """What a daemon with CNN, LSTM and gate would publish of noise, plain and acted speech.

    All thresholds come from elsewhere: the networks' from the validation actors of the fold, the
    gate's from noises of other folds. Sounds are those that the fold has not taught to its gate and
    networks, as recorded: their virtual voices lie in rooms and noises that are learnt from.
    """
    examples = data.examples
    joined = [run for run in runs if run.system == JOINED]
    calibrations = by_fold(examples, joined)
    passed = {fold: gate_threshold(noise_heard, gates, without=fold) for fold in calibrations}
    of_gate = {(gate.fold, gate.seed): gate for gate in gates}
    noise, plain = _Count(), _Count()
    trials: dict[str, list[float]] = {}
    speech = []
    for run in joined:
        gate, calibration = of_gate[run.fold, run.seed], calibrations[run.fold]
        open_at = passed[run.fold]
        speech.append((gate.speech_test >= open_at).mean())
        for name, sounds, count in (("noise", data.noise, noise), ("plain", data.plain, plain)):
            if sounds is not None:
                p = soften(run.others[name].by_heard[SERVED], calibration.temperature)
                known = (gate.p[name] >= open_at) & (p.max(axis=1) >= calibration.threshold)
                clips = np.flatnonzero(dealt(sounds) == run.fold)
                passes = gate.p[name] >= open_at
                count.add(sounds, clips, gate.rows[name], passes, known, p.argmax(axis=1))
        if data.trials is not None:
            condition = data.trials.condition[gate.rows["trials"]]
            for number, name in enumerate(Trials.NAMES):
                here = gate.p["trials"][condition == number] >= open_at
                trials.setdefault(name, []).append(float(here.mean()))
    return {
        "gate": {
            "threshold": gate_threshold(noise_heard, gates),
            "speech_kept": float(np.mean(speech)),
            "kept_in_trials": {name: float(np.mean(kept)) for name, kept in trials.items()},
        },
        "household": noise_heard.clips[0].corpus,
        "noise": noise.figures(),
        "plain": plain.figures(),
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


@cache
def _seconds(path: Path) -> float:
    return float(soundfile.info(path).duration)


class _Count:
    """Readings of sounds, by corpus, over all runs."""

    def __init__(self) -> None:
        self._parts: dict[str, list[dict[str, float]]] = {}
        self._emotions: dict[str, NDArray[np.int64]] = {}

    def add(
        self,
        sounds: Examples,
        clips: NDArray[np.int64],
        rows: NDArray[np.int64],
        passed: NDArray[np.bool_],
        known: NDArray[np.bool_],
        emotion: NDArray[np.int64],
    ) -> None:
        """Count those of the rows that are as recorded; clips: all that one run has not heard."""
        as_recorded = sounds.condition[rows] == 0
        of_clip = np.array([clip.corpus for clip in sounds.clips])
        for name in np.unique(of_clip[clips]):
            here = as_recorded & (sounds.corpus[rows] == name)
            heard = clips[of_clip[clips] == name]
            self._parts.setdefault(str(name), []).append(
                {
                    "hours": sum(_seconds(sounds.clips[clip].path) for clip in heard) / HOUR_S,
                    "utterances": float(here.sum()),
                    "passed": float((here & passed).sum()),
                    "readings": float((here & known).sum()),
                    "emotional": float((here & known & ~np.isin(emotion, QUIET)).sum()),
                }
            )
            counts = np.bincount(emotion[here & known], minlength=len(EMOTIONS))
            self._emotions[str(name)] = counts + self._emotions.get(
                str(name), np.zeros_like(counts)
            )

    def figures(self) -> dict[str, dict[str, Any]]:
        """Sums over the runs, and rates."""
        table: dict[str, dict[str, Any]] = {}
        for name, parts in self._parts.items():
            total = {key: float(sum(part[key] for part in parts)) for key in parts[0]}
            table[name] = total | {
                "readings_per_hour": total["readings"] / total["hours"],
                "emotional_share": total["emotional"] / max(1.0, total["readings"]),
                "emotions": dict(zip(EMOTIONS, self._emotions[name].tolist(), strict=True)),
            }
        return table
