"""Clips become examples: cut by the daemon's own segmenter, measured and encoded as it does."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.daemon import speech
from affectd.daemon.capture.recording import Recording
from affectd.daemon.errors import RecordingError
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE, RATE_HZ
from affectd.train import conditions
from affectd.train.conditions import Trials, Voices
from affectd.train.corpora.corpus import Clip, Corpus, CorpusError, LeftOut
from affectd.train.encoder import MFCC_FRAMES, Encoder, frames_of
from affectd.train.stored import keep, load

SAMPLED: Final = 97  # of so many utterances one is looked at, to tell examples apart
SPEC: Final = FeatureSpec()


@dataclass(frozen=True, eq=False)
class Examples:
    """Utterances of one or several corpora: as recorded, and by virtual voices.

    A clip has one utterance, sometimes two, rarely none.
    """

    frames: NDArray[np.float16]  # shape (n, time, width), of the encoder; not normalised
    spectra: NDArray[np.float16]  # shape (n, time, n_mfcc), mean MFCCs of the same stretches
    count: NDArray[np.int64]  # shape (n,), frames before the padding
    clip: NDArray[np.int64]  # shape (n,), index into clips
    condition: NDArray[np.int64]  # shape (n,), 0 as recorded, others are virtual voices
    clips: tuple[Clip, ...]
    seconds: NDArray[np.float64]  # shape (len(clips),), heard of each clip in all conditions

    @cached_property
    def emotion(self) -> NDArray[np.int64]:
        """Labels, shape (n,)."""
        return np.array([clip.emotion for clip in self.clips])[self.clip]

    @cached_property
    def speaker(self) -> NDArray[np.str_]:
        """Speakers, shape (n,)."""
        return np.array([clip.speaker for clip in self.clips])[self.clip]

    @cached_property
    def corpus(self) -> NDArray[np.str_]:
        """Corpora, shape (n,)."""
        return np.array([clip.corpus for clip in self.clips])[self.clip]

    @cached_property
    def is_learnt(self) -> NDArray[np.bool_]:
        """Which utterances may be learnt from, shape (n,); others only test."""
        return np.array([clip.is_learnt for clip in self.clips])[self.clip]

    @cached_property
    def sums(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sum and sum of squares of each utterance's frames of speech, each (n, width)."""
        totals = np.empty((len(self.clip), self.frames.shape[2]), np.float32)
        squares = np.empty_like(totals)
        for row, count in enumerate(self.count):
            spoken = self.frames[row, :count].astype(np.float32)
            totals[row], squares[row] = spoken.sum(axis=0), (spoken**2).sum(axis=0)
        return totals, squares

    def spectral(self) -> "Examples":
        """The same with MFCCs in place of the encoder's frames."""
        return replace(self, frames=self.spectra)

    def measured(self) -> "Examples":
        """The same, with all that follows from it computed, so that no process does that again."""
        for name in ("sums", "emotion", "speaker", "corpus", "is_learnt"):
            getattr(self, name)
        return self

    def report(self) -> str:
        """Tell what the segmenter made of the clips."""
        counts = np.bincount(self.clip[self.condition == 0], minlength=len(self.clips))
        return (
            f"{(self.condition == 0).sum()} utterances: {(counts == 1).sum()} clips gave one, "
            f"{(counts > 1).sum()} gave more, {(counts == 0).sum()} gave none; "
            f"{(self.condition > 0).sum()} more of virtual voices"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and standard deviation of each coefficient over speech frames, shape (width,)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def statistics(examples: Examples, rows: NDArray[np.int64]) -> Statistics:
    """Measure the speech frames of the given rows; padding is left out."""
    totals, squares = (sums[rows].sum(axis=0, dtype=np.float64) for sums in examples.sums)
    count = examples.count[rows].sum()
    mean = totals / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-10))
    return Statistics(mean.astype(np.float32), std.astype(np.float32))


def digest(*several: Examples | None) -> str:
    """What examples are, in short, to tell results of others apart."""
    whole = hashlib.sha256()
    for one in several:
        if one is not None:
            whole.update(repr((one.clips, one.frames.shape)).encode())
            whole.update(one.frames[::SAMPLED].tobytes())
    return whole.hexdigest()[:12]


def join(several: Sequence[Examples]) -> Examples:
    """The examples of several corpora as one."""
    offsets = np.cumsum([0, *(len(one.clips) for one in several)])
    return Examples(
        frames=np.concatenate([one.frames for one in several]),
        spectra=np.concatenate([one.spectra for one in several]),
        count=np.concatenate([one.count for one in several]),
        clip=np.concatenate([one.clip + by for one, by in zip(several, offsets, strict=False)]),
        condition=np.concatenate([one.condition for one in several]),
        clips=tuple(clip for one in several for clip in one.clips),
        seconds=np.concatenate([one.seconds for one in several]),
    )


def extract(
    corpus: Corpus, voices: Voices | Trials, encoder: Encoder, jobs: int
) -> tuple[Corpus, Examples]:
    """Cut, measure and encode all clips of a corpus, in parallel processes, with a progress bar.

    voices: in which every clip is heard. Returns the corpus without damaged
    clips and repeated recordings, and its examples. Raises CorpusError if too many are damaged.
    """
    tasks = (joblib.delayed(_hear)(clip, voices, encoder) for clip in corpus.clips)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    bar = tqdm(parallel(tasks), total=len(corpus.clips), desc=f"{corpus.name}", unit="clip")
    heard = dict(zip(corpus.clips, bar, strict=True))
    seen: dict[str, Clip] = {}
    left_out = {}
    for clip, result in heard.items():
        if isinstance(result, str):
            left_out[clip] = LeftOut(clip.path, result)
        elif (first := seen.setdefault(result.sha256, clip)) is not clip:
            left_out[clip] = LeftOut(clip.path, f"the same recording as {first.path.name}")
    kept = corpus.without(frozenset(left_out), tuple(left_out.values()))
    utterances = [one for clip in kept.clips for one in heard[clip].utterances]
    if not utterances:
        raise CorpusError(
            f"{corpus.name}: no speech is heard in its {len(kept.clips)} clips; an utterance "
            "has at least 0.6 s of speech, at a level above about -50 dBFS"
        )
    counts = [len(heard[clip].utterances) for clip in kept.clips]
    return kept, Examples(
        frames=np.array([one.frames for one in utterances]),
        spectra=np.array([one.spectra for one in utterances]),
        count=np.array([one.count for one in utterances], np.int64),
        clip=np.repeat(np.arange(len(kept.clips)), counts),
        condition=np.array([one.condition for one in utterances], np.int64),
        clips=kept.clips,
        seconds=np.array([heard[clip].seconds for clip in kept.clips]),
    )


def stored(
    corpus: Corpus, voices: Voices | Trials, encoder: Encoder, workdir: Path, jobs: int
) -> tuple[Corpus, Examples]:
    """Return what is kept in workdir, or extract and keep it.

    It is found again by what made it: the clips, the settings, the encoder and the code.
    """
    path = workdir / f"examples-{_made_of(corpus, voices, encoder)}.joblib"
    if not path.exists():
        keep(extract(corpus, voices, encoder, jobs), path)
    kept: tuple[Corpus, Examples] = load(path, mmap_mode="r")
    of_path = {clip.path: clip for clip in corpus.clips}  # as labelled now
    clips = tuple(of_path[clip.path] for clip in kept[1].clips)
    return replace(kept[0], clips=clips), replace(kept[1], clips=clips)


def _made_of(corpus: Corpus, voices: Voices | Trials, encoder: Encoder) -> str:
    clips = [(clip.path, clip.speaker) for clip in corpus.clips]
    digest = hashlib.sha256(repr((clips, voices, encoder.sha256)).encode())
    around = voices.around
    for path in (*(clip.path for clip in corpus.clips), *around.rooms, *around.noises):
        digest.update(path.read_bytes())
    code = sorted(Path(speech.__file__).parent.glob("*.py"))
    for source in (*code, Path(conditions.__file__), Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True, eq=False)
class _Utterance:
    condition: int
    frames: NDArray[np.float16]
    spectra: NDArray[np.float16]
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class _HeardClip:
    sha256: str  # of its samples
    seconds: float  # in all conditions
    utterances: list[_Utterance]


def _hear(clip: Clip, voices: Voices | Trials, encoder: Encoder) -> "_HeardClip | str":
    """Hear one clip in every voice; return why not if it is damaged."""
    try:
        samples = Recording(clip.path).samples()
    except RecordingError as error:
        return str(error)
    digest = hashlib.sha256(samples.tobytes())
    utterances, heard = [], 0
    for number, condition in enumerate(voices.of(clip.speaker)):
        altered = condition.apply(samples, seed=int.from_bytes(digest.digest()[:4]) + number)
        heard += altered.size
        ear = Ear(SPEC, SegmenterSpec(), DEFAULT_MODE)
        utterances += [
            _encoded(number, one.features, one.frames, encoder) for one in ear.listen([altered])
        ]
    return _HeardClip(digest.hexdigest(), heard / RATE_HZ, utterances)


def _encoded(
    condition: int, features: NDArray[np.float32], count: int, encoder: Encoder
) -> _Utterance:
    return _Utterance(
        condition=condition,
        frames=encoder(features, count).astype(np.float16),
        spectra=_thinned(features, count),
        count=frames_of(count),
    )


def _thinned(features: NDArray[np.float32], count: int) -> NDArray[np.float16]:
    """MFCCs, shape (time, n_mfcc), each the mean of the MFCC frames that make one encoder frame."""
    total = features.reshape(-1, MFCC_FRAMES, SPEC.n_mfcc).sum(axis=1)
    spoken = np.arange(len(features)).reshape(-1, MFCC_FRAMES) < count
    return np.asarray(total / np.maximum(spoken.sum(axis=1, keepdims=True), 1), np.float16)
