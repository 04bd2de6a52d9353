"""Pictures of the training stage, each written to one PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.adaptation import HEARD
from affectd.train.evaluate import Evaluation
from affectd.train.examples import Examples, statistics
from affectd.train.fit import WATCHED_EVERY
from affectd.train.scores import reliability, risk_coverage

HUMAN_UAR: Final = 0.67  # people who listen to RAVDESS


def class_distribution(examples: Examples, path: Path) -> None:
    """Draw how many clips of each emotion every corpus has."""
    figure, axes = plt.subplots(figsize=(7, 4))
    below = np.zeros(len(EMOTIONS))
    for corpus in dict.fromkeys(clip.corpus for clip in examples.clips):
        clips = [clip.emotion for clip in examples.clips if clip.corpus == corpus]
        counts = np.bincount(clips, minlength=len(EMOTIONS))
        axes.bar(EMOTIONS, counts, bottom=below, label=corpus)
        below += counts
    axes.set(title=f"{len(examples.clips)} clips", ylabel="clips")
    axes.tick_params(axis="x", rotation=30)
    axes.legend()
    _save(figure, path)


def one_mfcc(examples: Examples, path: Path) -> None:
    """Draw the coefficients of the first angry utterance, scaled to unit variance."""
    row = int(np.argmax((examples.emotion == EMOTIONS.index("angry")) & (examples.condition == 0)))
    clip, spec = examples.clips[examples.clip[row]], examples.spec
    figure, axes = plt.subplots(figsize=(8, 4))
    seconds = spec.n_frames * spec.hop / spec.rate_hz
    own = statistics(examples, np.array([row]))
    image = axes.imshow(
        ((examples.features[row] - own.mean) / own.std).T,
        aspect="auto",
        origin="lower",
        extent=(0, seconds, -0.5, spec.n_mfcc - 0.5),
        cmap="RdBu_r",
        vmin=-4,
        vmax=4,
    )
    axes.axvline(examples.frames[row] * spec.hop / spec.rate_hz, color="black", ls="--")
    axes.set(
        title=f"{clip.path.stem}: {EMOTIONS[clip.emotion]}, {clip.speaker} (line: padding)",
        xlabel="time / s",
        ylabel="coefficient (0 is the level)",
    )
    figure.colorbar(image, label="standard deviations")
    _save(figure, path)


def learning_curves(evaluation: Evaluation, path: Path) -> None:
    """Draw loss and validation UAR of one network over the epochs, a thin line a run."""
    figure, panes = plt.subplots(1, 2, figsize=(10, 4))
    for axes, name, step in zip(panes, ("loss", "val_uar"), (1, WATCHED_EVERY), strict=True):
        curves = np.array([curves[name] for curves in evaluation.curves])
        epochs = step * np.arange(1, curves.shape[1] + 1)
        axes.plot(epochs, curves.T, color="tab:blue", alpha=0.2)
        axes.plot(epochs, curves.mean(axis=0), color="tab:orange", lw=2, label="mean")
        axes.set(xlabel="epoch")
    panes[0].set(title=f"{evaluation.system}: loss of training")
    panes[1].set(title=f"{evaluation.system}: UAR of validation actors, 20 heard")
    panes[0].legend()
    _save(figure, path)


def confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw which emotion was taken for which, in shares of the true one."""
    counts = np.array(evaluation.figures["confusion"])
    shares = counts[:, : len(EMOTIONS)] / counts.sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(figsize=(7, 6))
    ConfusionMatrixDisplay(shares, display_labels=EMOTIONS).plot(
        ax=axes, cmap="Blues", values_format=".2f", xticks_rotation=45, im_kw={"vmin": 0, "vmax": 1}
    )
    uar = evaluation.figures["uar"]["heard_20"]["mean"]
    axes.set_title(f"{evaluation.system}: UAR {100 * uar:.1f} % on unseen actors, 20 heard")
    _save(figure, path)


def reliability_diagram(evaluation: Evaluation, path: Path) -> None:
    """Draw how often the answer is right at each confidence, and how often each is given."""
    of = evaluation.calibrated
    confidence, accuracy, share = reliability(of.truth, of.p)
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", ls="--", label="as sure as right")
    axes.plot(confidence, accuracy, "o-", label="unseen actors")
    axes.bar(confidence, share, width=0.04, alpha=0.3, label="share of utterances")
    axes.set(
        title=f"{evaluation.system}: calibration error {evaluation.figures['ece']:.3f}",
        xlabel="confidence",
        ylabel="accuracy",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend()
    _save(figure, path)


def risk_coverage_curves(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw the share of errors among the surest readings."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for evaluation in evaluations:
        answered, risk = risk_coverage(evaluation.calibrated.truth, evaluation.calibrated.p)
        axes.plot(answered[20:], risk[20:], label=evaluation.system)
    axes.set(
        title="errors among the readings that are surest",
        xlabel="share of utterances answered",
        ylabel="share of errors",
        xlim=(0, 1),
        ylim=(0, None),
    )
    axes.legend()
    _save(figure, path)


def adaptation(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw UAR over the number of utterances heard of a voice before."""
    figure, axes = plt.subplots(figsize=(7, 4))
    places = np.arange(len(HEARD))
    for number, evaluation in enumerate(evaluations):
        uar = evaluation.figures["uar"]
        for suffix, style in (("", "o-"), ("_neutral", "o:")):
            keys = [f"heard_{count}{suffix if count else ''}" for count in HEARD]
            label = f"{evaluation.system}{', neutral and calm only' if suffix else ''}"
            values = [100 * uar[key]["mean"] for key in keys]
            axes.plot(places, values, style, color=f"C{number}", label=label)
    axes.axhline(100 * HUMAN_UAR, color="grey", ls="--")
    axes.annotate("people", (places[0], 100 * HUMAN_UAR + 0.5), color="grey")
    axes.set_xticks(places, [str(count) for count in HEARD])
    axes.set(xlabel="utterances of the voice heard before", ylabel="UAR / %")
    axes.legend(fontsize="x-small")
    _save(figure, path)


def actors(evaluation: Evaluation, path: Path) -> None:
    """Draw the UAR of each actor."""
    per_actor = evaluation.figures["per_actor"]
    figure, axes = plt.subplots(figsize=(9, 4))
    places = np.arange(len(per_actor))
    axes.bar(places, list(per_actor.values()))
    axes.set_xticks(places, [name.rsplit("_", 1)[-1] for name in per_actor])
    axes.set(title=f"{evaluation.system}: UAR of each actor, 20 heard", xlabel="actor", ylim=(0, 1))
    _save(figure, path)


def trials(evaluation: Evaluation, path: Path) -> None:
    """Draw the UAR under trying conditions."""
    table: dict[str, dict[str, Any]] = evaluation.figures["trials"]
    figure, axes = plt.subplots(figsize=(8, 4))
    axes.barh(list(table), [one["uar"] for one in table.values()])
    axes.invert_yaxis()
    axes.set(title=f"{evaluation.system}: UAR under trying conditions, 20 heard", xlim=(0, 1))
    _save(figure, path)


def ablation(changes: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw what each change to the recipe brings, with its standard error over the runs."""
    figure, axes = plt.subplots(figsize=(8, 1.5 + 0.3 * len(changes)))
    for network in dict.fromkeys(
        network for of_change in changes.values() for network in of_change
    ):
        drawn = {
            name: of_change[network]
            for name, of_change in changes.items()
            if "gain" in of_change.get(network, {})
        }
        if drawn:
            gains = [100 * one["gain"] for one in drawn.values()]
            errors = [100 * np.nan_to_num(one["error"]) for one in drawn.values()]
            axes.barh(list(drawn), gains, xerr=errors, label=network)
    axes.invert_yaxis()
    axes.axvline(0, color="black", lw=0.8)
    axes.set(title="what a change brings on validation speakers", xlabel="UAR gained / points")
    axes.legend()
    _save(figure, path)


def gate(result: dict[str, Any], path: Path) -> None:
    """Draw what every threshold of the speech gate would let through, and the one that is used."""
    figure, axes = plt.subplots(figsize=(8, 5))
    curve = dict(result["curve"])
    thresholds = curve.pop("threshold")
    for name, shares in curve.items():
        axes.plot(thresholds, [100 * share for share in shares], label=name)
    axes.axvline(result["threshold"], color="black", lw=0.8, ls="--", label="threshold")
    axes.set(
        title="what passes the speech gate",
        xlabel="threshold of the probability of speech",
        ylabel="utterances let through / %",
        ylim=(0, 101),
    )
    axes.legend()
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
