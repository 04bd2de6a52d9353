"""Clips become examples: cut by the daemon's own segmenter, measured by its own MFCC."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
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
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.train import conditions
from affectd.train.conditions import Trials, Voices
from affectd.train.corpora.corpus import Clip, Corpus, CorpusError, LeftOut
from affectd.train.stored import keep, load

SAMPLED: Final = 97  # of so many utterances one is looked at, to tell examples apart


@dataclass(frozen=True, eq=False)
class Examples:
    """Utterances of one or several corpora: as recorded, and by virtual voices.

    A clip has one utterance, sometimes two, rarely none.
    """

    features: NDArray[np.float32]  # shape (n, spec.n_frames, spec.n_mfcc), not normalised
    frames: NDArray[np.int64]  # shape (n,), frames before the padding
    clip: NDArray[np.int64]  # shape (n,), index into clips
    condition: NDArray[np.int64]  # shape (n,), 0 as recorded, others are virtual voices
    clips: tuple[Clip, ...]
    seconds: NDArray[np.float64]  # shape (len(clips),), heard of each clip in all conditions
    spec: FeatureSpec

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
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum and sum of squares of each utterance's frames of speech, each (n, n_mfcc)."""
        totals = np.empty((len(self.clip), self.spec.n_mfcc))
        squares = np.empty_like(totals)
        for row, frames in enumerate(self.frames):
            spoken = self.features[row, :frames].astype(np.float64)
            totals[row], squares[row] = spoken.sum(axis=0), (spoken**2).sum(axis=0)
        return totals, squares

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
    """Mean and standard deviation of each coefficient over speech frames, shape (n_mfcc,)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def statistics(examples: Examples, rows: NDArray[np.int64]) -> Statistics:
    """Measure the speech frames of the given rows; padding is left out."""
    totals, squares = (sums[rows].sum(axis=0) for sums in examples.sums)
    count = examples.frames[rows].sum()
    mean = totals / count
    std = np.sqrt(squares / count - mean**2)
    return Statistics(mean.astype(np.float32), std.astype(np.float32))


def digest(*several: Examples | None) -> str:
    """What examples are, in short, to tell results of others apart."""
    whole = hashlib.sha256()
    for one in several:
        if one is not None:
            whole.update(repr((one.clips, one.features.shape)).encode())
            whole.update(one.features[::SAMPLED].tobytes())
    return whole.hexdigest()[:12]


def join(several: Sequence[Examples]) -> Examples:
    """The examples of several corpora as one."""
    offsets = np.cumsum([0, *(len(one.clips) for one in several)])
    return Examples(
        features=np.concatenate([one.features for one in several]),
        frames=np.concatenate([one.frames for one in several]),
        clip=np.concatenate([one.clip + by for one, by in zip(several, offsets, strict=False)]),
        condition=np.concatenate([one.condition for one in several]),
        clips=tuple(clip for one in several for clip in one.clips),
        seconds=np.concatenate([one.seconds for one in several]),
        spec=several[0].spec,
    )


def extract(
    corpus: Corpus, voices: Voices | Trials, spec: FeatureSpec, jobs: int
) -> tuple[Corpus, Examples]:
    """Cut and measure all clips of a corpus, in parallel processes, with a progress bar.

    voices: in which every clip is heard. Returns the corpus without damaged
    clips and repeated recordings, and its examples. Raises CorpusError if too many are damaged.
    """
    tasks = (joblib.delayed(_hear)(clip, voices, spec) for clip in corpus.clips)
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
        features=np.array([features for _, features, _ in utterances], np.float32),
        frames=np.array([frames for _, _, frames in utterances], np.int64),
        clip=np.repeat(np.arange(len(kept.clips)), counts),
        condition=np.array([number for number, _, _ in utterances], np.int64),
        clips=kept.clips,
        seconds=np.array([heard[clip].seconds for clip in kept.clips]),
        spec=spec,
    )


def stored(
    corpus: Corpus,
    voices: Voices | Trials,
    workdir: Path,
    jobs: int,
    spec: FeatureSpec | None = None,
) -> tuple[Corpus, Examples]:
    """Return what is kept in workdir, or extract and keep it.

    It is found again by what made it: the clips, the settings, and the code that is heard with.
    """
    spec = spec or FeatureSpec()
    path = workdir / f"features-{_made_of(corpus, voices, spec)}.joblib"
    if not path.exists():
        keep(extract(corpus, voices, spec, jobs), path)
    kept: tuple[Corpus, Examples] = load(path, mmap_mode="r")
    return kept


def _made_of(corpus: Corpus, voices: Voices | Trials, spec: FeatureSpec) -> str:
    files = [(clip.path.stat().st_size, clip.path.stat().st_mtime_ns) for clip in corpus.clips]
    settings = (corpus.clips, files, voices, spec, SegmenterSpec(), DEFAULT_MODE)
    digest = hashlib.sha256(repr(settings).encode())
    for source in (*sorted(Path(speech.__file__).parent.glob("*.py")), Path(conditions.__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True, eq=False)
class _HeardClip:
    sha256: str  # of its samples
    seconds: float  # in all conditions
    utterances: list[tuple[int, NDArray[np.float32], int]]  # condition, features, frames


def _hear(clip: Clip, voices: Voices | Trials, spec: FeatureSpec) -> "_HeardClip | str":
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
        ear = Ear(spec, SegmenterSpec(), DEFAULT_MODE)
        utterances += [(number, one.features, one.frames) for one in ear.listen([altered])]
    return _HeardClip(digest.hexdigest(), heard / spec.rate_hz, utterances)
