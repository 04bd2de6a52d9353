"""Recordings of a household: silence, noise, talk with pauses, and speech without any.

They are put together from the corpora under a folder of data (RAVDESS, plain speech, household
noise). Where it is missing, the demo's recording and made noise serve, so that everything runs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.bundle import DEFAULT
from affectd.daemon.speech.segmenter import Segmenter, SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE, FRAME, RATE_HZ, Vad

Samples = NDArray[np.int16]

DATA: Final = Path(__file__).parents[2] / "shared" / "data"
DEMO: Final = DEFAULT / "demo" / "recording.ogg"
FLOOR: Final = 3.0  # RMS of the hiss that lies under everything, in steps of int16: -81 dBFS
PAUSE_S: Final = (0.2, 2.0)  # between two sentences of talk
NOISE_S: Final = 10.0  # of one noise before the next


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a recording in which one thing is to be heard."""

    name: str
    start_s: float
    end_s: float


class Household:
    """Endless silence, noise, talk and speech; the same ones again for the same seed."""

    def __init__(self, data: Path = DATA, seed: int = 0) -> None:
        """data: holds ravdess, plain_speech and noise/household."""
        self._random = np.random.default_rng(seed)
        spoken = [*_files(data / "ravdess"), *_files(data / "plain_speech")]
        noises = _files(data / "noise" / "household")
        self.is_from_corpora = bool(spoken and noises)
        self._sentences = self._each(spoken or [DEMO])
        self._noises = self._each(noises) if noises else None
        self._rest: Samples = np.empty(0, np.int16)  # of unbroken speech

    def part(self, name: str, seconds: float) -> Samples:
        """Samples of `silence`, `noise`, `talk` or `speech`, so many seconds long."""
        kinds: dict[str, Callable[[int], Samples]] = {
            "silence": lambda size: np.zeros(size, np.int16),
            "noise": self._noise,
            "talk": self._talk,
            "speech": self._speech,
        }
        size = round(seconds * RATE_HZ)
        hiss = self._random.normal(0, FLOOR, size)
        return _int16(kinds[name](size) + hiss)

    def _noise(self, size: int) -> Samples:
        """One noise after the other, NOISE_S of each, from a place in it drawn at random."""
        if self._noises is None:
            return _int16(self._random.normal(0, 1000, size))
        pieces: list[Samples] = []
        longest = round(NOISE_S * RATE_HZ)
        while sum(piece.size for piece in pieces) < size:
            noise = next(self._noises)
            first = int(self._random.integers(max(1, noise.size - longest)))
            pieces.append(noise[first : first + longest])
        return np.concatenate(pieces)[:size]

    def _talk(self, size: int) -> Samples:
        """Whole clips with pauses between them."""
        pieces: list[Samples] = []
        while sum(piece.size for piece in pieces) < size:
            pause = round(self._random.uniform(*PAUSE_S) * RATE_HZ)
            pieces += [next(self._sentences), np.zeros(pause, np.int16)]
        return np.concatenate(pieces)[:size]

    def _speech(self, size: int) -> Samples:
        """What the segmenter keeps of clip after clip, from its first to its last voiced frame."""
        while self._rest.size < size:
            self._rest = np.concatenate([self._rest, *voiced(next(self._sentences))])
        speech, self._rest = self._rest[:size], self._rest[size:]
        return speech

    def _each(self, files: Sequence[Path]) -> Iterator[Samples]:
        order = self._random.permutation(len(files))
        return (Recording(files[number]).samples() for number in cycle(order))


def write(path: Path, household: Household, parts: Sequence[tuple[str, float]]) -> list[Part]:
    """Write parts, each a name and its seconds, one behind the other; return where they are."""
    at_s, placed = 0.0, []
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        for name, seconds in parts:
            file.write(household.part(name, seconds))
            placed.append(Part(name, at_s, at_s + seconds))
            at_s += seconds
    return placed


def voiced(samples: Samples) -> Iterator[Samples]:
    """The utterances in a clip, each without the silence before and behind it."""
    vad, segmenter = Vad(DEFAULT_MODE), Segmenter(SegmenterSpec())
    frames = samples[: samples.size - samples.size % FRAME].reshape(-1, FRAME)
    heard = [segmenter.push(frame, vad.is_speech(frame)) for frame in frames]
    for utterance in (*heard, segmenter.flush()):
        if utterance is not None:
            which = np.flatnonzero(utterance.voiced)
            yield utterance.samples[which[0] * FRAME : (which[-1] + 1) * FRAME]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".flac", ".opus", ".wav"})


def _int16(values: NDArray[np.float64]) -> Samples:
    return np.asarray(np.clip(np.rint(values), -32768, 32767), dtype=np.int16)
