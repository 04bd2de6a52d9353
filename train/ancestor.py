"""The ancestor's protocol, to show what its random split of oversampled clips was worth.

Every clip became the mean of 40 MFCCs over all of its time; rare emotions were oversampled over
the whole corpus, and only then was a random third taken for testing. So copies of one clip, and
the same actors, stood on both sides. `leaking` does that again; `honest` tests each clip once, on
actors that are not in the training part (the six folds), and oversamples the training part alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from imblearn.over_sampling import RandomOverSampler
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from tqdm.auto import tqdm

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import Corpus
from affectd.train.fits import quiet_one_thread
from affectd.train.folds import EMOBOX
from affectd.train.scores import Scores, score

TEST_SHARE: Final = 0.33
EPOCHS: Final = 50
NETWORKS: Final = ("mlp", "cnn", "lstm")


@dataclass(frozen=True, slots=True)
class Result:
    """What one network reached under one protocol."""

    network: str
    protocol: str  # leaking or honest
    per_seed: tuple[Scores, ...]


def reproduce(corpus: Corpus, seeds: tuple[int, ...], jobs: int) -> list[Result]:
    """Fit the ancestor's networks under both protocols, in parallel, with progress bars."""
    paths = [clip.path for clip in corpus.clips]
    means = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(_mean_mfcc)(path) for path in paths
    )
    x = np.stack(list(tqdm(means, total=len(paths), desc="librosa", unit="clip")))
    y = np.array([clip.emotion for clip in corpus.clips])
    actor = np.array([int(clip.speaker.rsplit("_", 1)[1]) for clip in corpus.clips])
    tasks = [(n, p, s) for n in NETWORKS for p in ("leaking", "honest") for s in seeds]
    fits = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(_run)(x, y, actor, *task) for task in tasks
    )
    scores = dict(zip(tasks, tqdm(fits, total=len(tasks), desc="fits", unit="fit"), strict=True))
    return [
        Result(n, p, tuple(scores[n, p, s] for s in seeds))
        for n in NETWORKS
        for p in ("leaking", "honest")
    ]


def table(results: list[Result]) -> str:
    """A Markdown table, a line a network, accuracy in percent."""
    lines = [
        "| ancestor's network | random split of oversampled clips | test actors unseen |",
        "| --- | --- | --- |",
    ]
    for network in NETWORKS:
        cells = []
        for result in results:
            if result.network == network:
                values = [100 * scores.accuracy for scores in result.per_seed]
                cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}")
        lines.append(f"| {network} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _mean_mfcc(path: Path) -> NDArray[np.float32]:
    import librosa

    pcm, rate_hz = librosa.load(path)
    return np.asarray(librosa.feature.mfcc(y=pcm, sr=rate_hz, n_mfcc=40).mean(axis=1))


def _run(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    actor: NDArray[np.int64],
    network: str,
    protocol: str,
    seed: int,
) -> Scores:
    """Accuracy and so on; the honest protocol takes the six folds together as one test."""
    quiet_one_thread()
    import keras

    keras.utils.set_random_seed(seed)
    splits = _leaking(x, y, seed) if protocol == "leaking" else _honest(x, y, actor, seed)
    truth, predicted = [], []
    for x_train, y_train, x_test, y_test in splits:
        model = _BUILDERS[network](keras)
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
        model.fit(x_train, y_train, batch_size=64, epochs=EPOCHS, verbose=0)
        truth.append(y_test)
        predicted.append(model.predict(x_test, verbose=0).argmax(axis=1))
    return score(np.concatenate(truth), np.concatenate(predicted))


def _leaking(x: NDArray[np.float32], y: NDArray[np.int64], seed: int) -> Iterator[Any]:
    x, y = RandomOverSampler(random_state=seed).fit_resample(x, y)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=TEST_SHARE, random_state=seed
    )
    yield x_train, y_train, x_test, y_test


def _honest(
    x: NDArray[np.float32], y: NDArray[np.int64], actor: NDArray[np.int64], seed: int
) -> Iterator[Any]:
    for fold in EMOBOX:
        test = np.isin(actor, fold)
        x_train, y_train = RandomOverSampler(random_state=seed).fit_resample(x[~test], y[~test])
        yield x_train, y_train, x[test], y[test]


def _mlp(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((40,)),
            layers.Dense(256, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(len(EMOTIONS), activation="softmax"),
        ]
    )


def _cnn(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((40,)),
            layers.Reshape((40, 1)),
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(len(EMOTIONS), activation="softmax"),
        ]
    )


def _lstm(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((40,)),
            layers.Reshape((40, 1)),
            layers.LSTM(128),
            layers.Dropout(0.2),
            layers.Dense(len(EMOTIONS), activation="softmax"),
        ]
    )


_BUILDERS: Final[dict[str, Callable[[Any], Any]]] = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm}
