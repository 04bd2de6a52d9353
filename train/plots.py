"""Pictures of the training stage, each written to one PNG."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.evaluate import Run
from affectd.train.examples import Examples, statistics


def class_distribution(examples: Examples, path: Path) -> None:
    """Draw how many clips of each emotion there are, women's and men's voices apart."""
    clips = examples.corpus.clips
    women, men = (
        np.bincount([c.emotion for c in clips if c.actor % 2 == odd], minlength=len(EMOTIONS))
        for odd in (0, 1)
    )
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.bar(EMOTIONS, women, label="women")
    axes.bar(EMOTIONS, men, bottom=women, label="men")
    axes.set(title=f"{examples.corpus.name}: {len(clips)} clips", ylabel="clips")
    axes.tick_params(axis="x", rotation=30)
    axes.legend()
    _save(figure, path)


def one_mfcc(examples: Examples, path: Path) -> None:
    """Draw the coefficients of the first angry utterance, normalised as the networks see them."""
    row = int(np.argmax(examples.emotion == EMOTIONS.index("angry")))
    clip = examples.corpus.clips[examples.clip[row]]
    spec = examples.spec
    figure, axes = plt.subplots(figsize=(8, 4))
    seconds = spec.n_frames * spec.hop / spec.rate_hz
    measured = statistics(examples, np.arange(len(examples.clip)))
    image = axes.imshow(
        measured.normalise(examples.features[row]).T,
        aspect="auto",
        origin="lower",
        extent=(0, seconds, -0.5, spec.n_mfcc - 0.5),
        cmap="RdBu_r",
        vmin=-4,
        vmax=4,
    )
    axes.axvline(examples.speech_frames[row] * spec.hop / spec.rate_hz, color="black", ls="--")
    axes.set(
        title=f"{clip.path.stem}: {EMOTIONS[clip.emotion]}, actor {clip.actor} (line: padding)",
        xlabel="time / s",
        ylabel="coefficient (0 is the level)",
    )
    figure.colorbar(image, label="standard deviations")
    _save(figure, path)


def learning_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw loss and validation UAR of one network over the epochs, a thin line a run."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for run in runs:
        epochs = np.arange(1, len(run.curves["loss"]) + 1)
        left.plot(epochs, run.curves["loss"], color="tab:blue", alpha=0.25)
        left.plot(epochs, run.curves["val_loss"], color="tab:orange", alpha=0.25)
        right.plot(epochs, run.curves["val_uar"], color="tab:orange", alpha=0.25)
        right.plot(run.best_epoch, max(run.curves["val_uar"]), "k.", alpha=0.5)
    for name, axes, colour in (
        ("loss", left, "tab:blue"),
        ("val_loss", left, "tab:orange"),
        ("val_uar", right, "tab:orange"),
    ):
        mean = np.mean([run.curves[name] for run in runs], axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, color=colour, lw=2, label=name)
    left.set(title=f"{runs[0].system}: loss", xlabel="epoch")
    right.set(
        title=f"{runs[0].system}: UAR of validation actors (dots: epochs kept)", xlabel="epoch"
    )
    left.legend()
    _save(figure, path)


def confusion(
    title: str, truth: NDArray[np.int64], predicted: NDArray[np.int64], path: Path
) -> None:
    """Draw which emotion was taken for which, in shares of the true one."""
    labels = range(len(EMOTIONS))
    shares = confusion_matrix(truth, predicted, labels=labels, normalize="true")
    figure, axes = plt.subplots(figsize=(7, 6))
    ConfusionMatrixDisplay(shares, display_labels=EMOTIONS).plot(
        ax=axes, cmap="Blues", values_format=".2f", xticks_rotation=45, im_kw={"vmin": 0, "vmax": 1}
    )
    axes.set_title(title)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
