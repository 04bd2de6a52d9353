"""What every clip is taken for: the answers of runs to speakers and corpora they do not know."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.examples import Examples
from affectd.train.fits import Answers, Data, Run
from affectd.train.folds import ALL, WITHOUT, left_out
from affectd.train.scores import MISSED

LEFT_OUT: Final = "left_out"
TEST_ONLY: Final = "test_only"
FOLDS: Final = "folds"


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Clips of test speakers in all runs of a system, and what each was taken for."""

    clip: NDArray[np.int64]  # shape (n,), index into clips
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]  # MISSED for a clip without an utterance
    seed: NDArray[np.int64]
    split: NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """The runs that are tested on one corpus of which they have learnt nothing."""

    protocol: str
    corpus: str
    examples: Examples
    runs: list[Run]


def unseen(data: Data, runs: Sequence[Run]) -> Iterator[Unseen]:
    """All corpora, left out or for tests alone, that some of the runs have not learnt from."""
    for corpus in left_out(data.examples):
        if own := [run for run in runs if run.split == f"{WITHOUT} {corpus}"]:
            yield Unseen(LEFT_OUT, corpus, data.examples, own)
    final = [run for run in runs if run.split == ALL and run.test.by_heard]
    if data.test_only is not None and final:
        for corpus in dict.fromkeys(clip.corpus for clip in data.test_only.clips):
            here = data.test_only.corpus == corpus
            own = [_only(run, here) for run in final]
            yield Unseen(TEST_ONLY, corpus, data.test_only, own)


def _only(run: Run, here: NDArray[np.bool_]) -> Run:
    """A run with the answers to some rows alone."""
    chosen = here[run.test.rows]
    by_heard = {key: p[chosen] for key, p in run.test.by_heard.items()}
    return Run(run.system, run.split, run.seed, Answers(run.test.rows[chosen], by_heard))


def predict(
    examples: Examples,
    runs: Sequence[Run],
    key: str,
    answers: Callable[[Run], Answers] = lambda run: run.test,
    condition: int = 0,
) -> Predictions:
    """What every clip of the testers was taken for: the mean log-probability of its utterances.

    Only emotions that the tested clips have are told apart.
    """
    parts = []
    for run in runs:
        given = answers(run)
        here = examples.condition[given.rows] == condition
        clips = examples.clip[given.rows[here]]
        asked = _asked(examples, given.rows)
        truth = np.array([examples.clips[i].emotion for i in asked])
        possible = np.unique(truth)
        logs = np.zeros((len(examples.clips), len(EMOTIONS)))
        np.add.at(logs, clips, np.log(np.maximum(given.by_heard[key][here], 1e-12)))
        chosen = possible[logs[asked][:, possible].argmax(axis=1)]
        parts.append(
            Predictions(
                clip=asked,
                truth=truth,
                predicted=np.where(np.isin(asked, clips), chosen, MISSED),
                seed=np.full(len(asked), run.seed),
                split=np.full(len(asked), run.split),
            )
        )
    names = Predictions.__slots__
    return Predictions(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def _asked(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """All clips of the speakers, corpora and emotions of some rows, even without an utterance."""
    clips = [examples.clips[i] for i in np.unique(examples.clip[rows])]
    wanted = {(clip.corpus, clip.speaker, clip.emotion) for clip in clips}
    return np.array(
        [
            number
            for number, clip in enumerate(examples.clips)
            if (clip.corpus, clip.speaker, clip.emotion) in wanted
        ]
    )
