"""Clips become examples: cut by the daemon's own segmenter, measured by its own MFCC."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from affectd.daemon import speech
from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.bundle import normalise
from affectd.daemon.speech.ear import Ear, Heard
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.train.corpora import Clip, Corpus


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Every utterance of a corpus; a clip has one, sometimes two, rarely none."""

    features: NDArray[np.float32]  # shape (n, spec.n_frames, spec.n_mfcc), not normalised
    speech_frames: NDArray[np.int64]  # shape (n,), frames before the padding
    clip: NDArray[np.int64]  # shape (n,), index into corpus.clips
    corpus: Corpus
    spec: FeatureSpec

    @property
    def emotion(self) -> NDArray[np.int64]:
        """Labels, shape (n,)."""
        return np.array([clip.emotion for clip in self.corpus.clips])[self.clip]

    @property
    def actor(self) -> NDArray[np.int64]:
        """Speakers, shape (n,)."""
        return np.array([clip.actor for clip in self.corpus.clips])[self.clip]

    def report(self) -> str:
        """Tell what the segmenter made of the clips."""
        counts = np.bincount(self.clip, minlength=len(self.corpus.clips))
        return (
            f"{len(self.clip)} utterances: {(counts == 1).sum()} clips gave one, "
            f"{(counts > 1).sum()} gave more, {(counts == 0).sum()} gave none"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and standard deviation of each coefficient over speech frames, shape (n_mfcc,)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def normalise(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale features, shape (..., n_mfcc), to zero mean and unit variance over speech."""
        return normalise(features, self.mean, self.std)


def statistics(examples: Examples, rows: NDArray[np.int64]) -> Statistics:
    """Measure the speech frames of the given rows; padding is left out."""
    frames = np.concatenate([examples.features[i, : examples.speech_frames[i]] for i in rows])
    return Statistics(frames.mean(axis=0), frames.std(axis=0))


def extract(corpus: Corpus, spec: FeatureSpec, jobs: int) -> Examples:
    """Cut and measure all clips of a corpus, in parallel processes, with a progress bar."""
    tasks = (joblib.delayed(_hear)(clip, spec) for clip in corpus.clips)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    heard = list(tqdm(parallel(tasks), total=len(corpus.clips), desc="features", unit="clip"))
    return Examples(
        features=np.stack([one.features for clip in heard for one in clip]),
        speech_frames=np.array([_speech_frames(one, spec) for clip in heard for one in clip]),
        clip=np.repeat(np.arange(len(heard)), [len(clip) for clip in heard]),
        corpus=corpus,
        spec=spec,
    )


def stored(corpus: Corpus, spec: FeatureSpec, workdir: Path, jobs: int) -> Examples:
    """Return the examples kept in workdir, or extract and keep them.

    They are found again by what made them: the clips, the settings, and the code in daemon/speech.
    """
    path = workdir / f"features-{_made_of(corpus, spec)}.joblib"
    if path.exists():
        kept: Examples = joblib.load(path)
        return kept
    examples = extract(corpus, spec, jobs)
    workdir.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    joblib.dump(examples, unfinished, compress=3)
    unfinished.replace(path)
    return examples


def _made_of(corpus: Corpus, spec: FeatureSpec) -> str:
    digest = hashlib.sha256(repr((corpus, spec, SegmenterSpec(), DEFAULT_MODE)).encode())
    for source in sorted(Path(speech.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _hear(clip: Clip, spec: FeatureSpec) -> list[Heard]:
    ear = Ear(spec, SegmenterSpec(), DEFAULT_MODE)
    return list(ear.listen([Recording(clip.path).samples()]))


def _speech_frames(heard: Heard, spec: FeatureSpec) -> int:
    return 1 + (heard.utterance.samples.size - spec.window) // spec.hop
