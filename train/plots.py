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
from affectd.train.corpora.corpus import Clip
from affectd.train.doubt import Calibrated
from affectd.train.evaluate import Evaluation
from affectd.train.fit import NOTED
from affectd.train.fits import BASELINES, ENCODED, SERVED, Data
from affectd.train.predictions import FOLDS
from affectd.train.runs import JOINED
from affectd.train.scores import calibration_error, reliability, risk_coverage
from affectd.train.tables import COLUMNS, LANGUAGES, RAVDESS, TITLES

CHANCE: Final = 1 / len(EMOTIONS)
PEOPLE: Final = 0.67  # who listen to RAVDESS
# Accuracy of the ancestor's networks on RAVDESS: as published, with a random split of oversampled
# clips, and on unseen actors. Source: train/README.md, The ancestor's protocol.
ANCESTOR: Final = {"mlp": (0.47, 0.336), "lstm": (0.51, 0.268), "cnn": (0.60, 0.361)}
# Shares of utterances answered at which the share of errors is drawn.
ANSWERED: Final = np.linspace(0.05, 1, 96)


def draw(folder: Path, data: Data, evaluations: Sequence[Evaluation]) -> None:
    """Draw all pictures of an evaluation that there are figures for."""
    clips = data.examples.clips + (data.test_only.clips if data.test_only else ())
    class_distribution(clips, folder / "classes.png")
    adaptation(evaluations, folder / "adaptation.png")
    if data.examples.clips[0].corpus == RAVDESS:
        way(evaluations, folder / "way.png")
    if encoded := [one for one in evaluations if one.system in ENCODED]:
        losses(encoded, folder / "losses.png")
    for joined in (one for one in evaluations if one.system == JOINED):
        confusion(joined, folder / "confusion_cnn_lstm.png")
        speakers(joined, folder / "speakers.png")
        if any(protocol in joined.figures for protocol in TITLES):
            corpora(joined, folder / "corpora.png")
            confusion_corpora(joined, folder / "confusion_corpora.png")
        if joined.calibrated:
            reliability_diagrams(joined, folder / "reliability.png")
            risk_coverage_curves(joined, folder / "risk_coverage.png")
        if "trials" in joined.figures:
            trials(joined, folder / "trials.png")


def class_distribution(clips: Sequence[Clip], path: Path) -> None:
    """Draw how many clips of each emotion every corpus has."""
    figure, axes = plt.subplots(figsize=(8, 4))
    below = np.zeros(len(EMOTIONS))
    for number, corpus in enumerate(dict.fromkeys(clip.corpus for clip in clips)):
        emotions = [clip.emotion for clip in clips if clip.corpus == corpus and clip.emotion >= 0]
        counts = np.bincount(emotions, minlength=len(EMOTIONS))
        axes.bar(EMOTIONS, counts, bottom=below, label=corpus, color=plt.get_cmap("tab20")(number))
        below += counts
    axes.set(title=f"{len(clips)} clips", ylabel="clips")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize="small")
    _save(figure, path)


def way(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw accuracy on RAVDESS from the ancestor's networks to those of this evaluation."""
    of_system = {one.system: one.figures["accuracy"]["mean"] for one in evaluations}
    stages: dict[str, dict[str, float]] = {
        "ancestor, as published (random split)": {n: of for n, (of, _) in ANCESTOR.items()},
        "ancestor, unseen actors": {name: of for name, (_, of) in ANCESTOR.items()},
        "MFCCs, unseen actors": {n: of_system[n] for n in BASELINES if n in of_system},
        "encoder, unseen actors": {
            n: of_system[n] for n in (*reversed(ENCODED), JOINED) if n in of_system
        },
    }
    figure, axes = plt.subplots(figsize=(9, 5.5))
    names: list[str] = []
    for (stage, bars), colour in zip(
        stages.items(), ("lightgrey", "grey", "tab:blue", "tab:orange"), strict=True
    ):
        if not bars:
            continue
        places = len(names) + np.arange(len(bars))
        drawn = axes.barh(places, [100 * of for of in bars.values()], color=colour, label=stage)
        axes.bar_label(drawn, fmt="%.1f", padding=3)
        names += bars
    for share, label in ((CHANCE, "chance"), (PEOPLE, "people")):
        axes.axvline(100 * share, color="black", lw=0.8, ls="--")
        axes.annotate(f" {label}", (100 * share, -0.7), fontsize="small")
    axes.set_yticks(np.arange(len(names)), names)
    axes.set(
        title=f"RAVDESS, from the ancestor to here ({COLUMNS[SERVED]} of a voice)",
        xlabel="accuracy / %",
        xlim=(0, 100),
        ylim=(len(names) - 0.4, -1.2),
    )
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.74), fontsize="small")
    _save(figure, path)


def adaptation(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw UAR over the number of utterances heard of a voice before."""
    figure, axes = plt.subplots(figsize=(9, 5))
    places = np.arange(len(HEARD))
    for number, evaluation in enumerate(evaluations):
        uar = evaluation.figures["uar"]
        for suffix, style in (("", "o-"), ("_neutral", "o:")):
            keys = [f"heard_{count}{suffix if count else ''}" for count in HEARD]
            label = None if suffix else evaluation.system
            values = [100 * uar[key]["mean"] for key in keys]
            axes.plot(places, values, style, color=f"C{number}", label=label)
    axes.axhline(100 * PEOPLE, color="grey", ls="--", label="people")
    axes.set_xticks(places, [str(count) for count in HEARD])
    axes.set(
        title="unseen speakers (dotted: only neutral and calm utterances heard)",
        xlabel="utterances of the voice heard before",
        ylabel="UAR / %",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path)


def corpora(evaluation: Evaluation, path: Path) -> None:
    """Draw the UAR of every corpus that the networks had not learnt from."""
    shown = {p: evaluation.figures[p]["corpora"] for p in TITLES if p in evaluation.figures}
    counts = [len(of) for of in shown.values()]
    figure, panes = plt.subplots(
        1,
        len(shown),
        sharey=True,
        squeeze=False,
        width_ratios=counts,
        figsize=(4 + 1.4 * sum(counts), 4.5),
    )
    for axes, (protocol, of) in zip(panes[0], shown.items(), strict=True):
        places = np.arange(len(of))
        for number, (key, label) in enumerate(COLUMNS.items()):
            uars, at = [one["uar"][key] for one in of.values()], places + 0.27 * (number - 1)
            axes.bar(at, [100 * uar["mean"] for uar in uars], 0.25, label=label)
            ends = 100 * np.array([uar["interval"] for uar in uars])
            axes.vlines(at, ends[:, 0], ends[:, 1], color="black", lw=1)
        chance = [100 * one["chance"] for one in of.values()]
        axes.hlines(chance, places - 0.45, places + 0.45, color="black", ls=":", label="chance")
        names = [f"{name}\n{LANGUAGES.get(name, '')}".replace(" ", "\n") for name in of]
        axes.set_xticks(places, names, fontsize="small")
        axes.set(title=f"{TITLES[protocol]}: {evaluation.system}", xlim=(-0.6, len(of) - 0.4))
    panes[0, 0].set(ylabel="UAR / % (lines: 95 % over speakers)", ylim=(0, 100))
    panes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path)


def confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw which emotion was taken for which, in shares of the true one."""
    figure, axes = plt.subplots(figsize=(7, 6))
    _matrix(axes, evaluation.figures["confusion"])
    uar = evaluation.figures["uar"][SERVED]["mean"]
    axes.set_title(
        f"{evaluation.system}: UAR {100 * uar:.1f} % on unseen speakers, {COLUMNS[SERVED]}"
    )
    _save(figure, path)


def confusion_corpora(evaluation: Evaluation, path: Path) -> None:
    """Draw the same for every corpus that the networks had not learnt from."""
    shown = {
        f"{TITLES[protocol]}: {name}": of
        for protocol in TITLES
        for name, of in evaluation.figures.get(protocol, {"corpora": {}})["corpora"].items()
    }
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, panes = plt.subplots(rows, columns, squeeze=False, figsize=(4.2 * columns, 4.8 * rows))
    for axes in panes.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, (name, of) in zip(panes.flat, shown.items(), strict=False):
        _matrix(axes, of["confusion"])
        uar = 100 * of["uar"][SERVED]["mean"]
        axes.set_title(f"{name}\nUAR {uar:.1f} %, {COLUMNS[SERVED]}", fontsize="medium")
        axes.set(xlabel="", ylabel="")
    _save(figure, path)


def _matrix(axes: Any, confusion: list[list[int]]) -> None:
    """Draw counts, shape (8, 9), as shares, of the emotions that there are."""
    counts = np.array(confusion)
    there = np.flatnonzero(counts.sum(axis=1))
    shares = counts[np.ix_(there, there)] / counts[there].sum(axis=1, keepdims=True)
    ConfusionMatrixDisplay(shares, display_labels=[EMOTIONS[i] for i in there]).plot(
        ax=axes,
        cmap="Blues",
        colorbar=False,
        values_format=".2f",
        xticks_rotation="vertical",
        im_kw={"vmin": 0, "vmax": 1},
    )


def speakers(evaluation: Evaluation, path: Path) -> None:
    """Draw the UAR of each speaker, the lowest first."""
    uars = dict(sorted(evaluation.figures["per_speaker"].items(), key=lambda of: of[1]))
    figure, axes = plt.subplots(figsize=(9, 4))
    axes.bar(list(uars), [100 * uar for uar in uars.values()])
    axes.tick_params(axis="x", rotation=90)
    axes.set(
        title=f"{evaluation.system}: each unseen speaker, {COLUMNS[SERVED]}",
        ylabel="UAR / %",
        ylim=(0, 100),
    )
    _save(figure, path)


def losses(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw the training loss of each network on the folds, a thin line a run."""
    figure, panes = plt.subplots(1, len(evaluations), squeeze=False, figsize=(10, 4))
    for axes, evaluation in zip(panes[0], evaluations, strict=True):
        curves = np.array(evaluation.losses)
        steps = NOTED * np.arange(1, curves.shape[1] + 1)
        axes.plot(steps, curves.T, color="tab:blue", alpha=0.2)
        axes.plot(steps, curves.mean(axis=0), color="tab:orange", lw=2, label="mean")
        axes.set(title=f"{evaluation.system}: training loss", xlabel="step")
        axes.legend()
    _save(figure, path)


def _protocols(evaluation: Evaluation) -> dict[str, list[Calibrated]]:
    """The calibrated utterances of each protocol, a part for each corpus."""
    of = evaluation.calibrated
    names = {"Unseen speakers": [FOLDS]} | {
        title: list(evaluation.figures.get(protocol, {"corpora": {}})["corpora"])
        for protocol, title in TITLES.items()
    }
    found = {title: [of[name] for name in own if name in of] for title, own in names.items()}
    return {title: parts for title, parts in found.items() if parts}


def reliability_diagrams(evaluation: Evaluation, path: Path) -> None:
    """Draw how often a reading is right at each confidence; every corpus weighs the same."""
    shown = _protocols(evaluation)
    figure, panes = plt.subplots(
        1, len(shown), sharey=True, squeeze=False, figsize=(1 + 4 * len(shown), 4.5)
    )
    for axes, (title, parts) in zip(panes[0], shown.items(), strict=True):
        pooled = (
            np.concatenate([of.truth for of in parts]),
            np.concatenate([of.p for of in parts]),
            np.concatenate([np.full(len(of.truth), 1 / len(of.truth)) for of in parts]),
        )
        confidence, accuracy, share = reliability(*pooled)
        axes.plot([0, 1], [0, 1], color="grey", ls="--", label="as sure as right")
        axes.plot(confidence, accuracy, "o-", label="accuracy")
        axes.bar(confidence, share, width=0.04, alpha=0.3, label="share of utterances")
        axes.set(
            title=f"{title}\ncalibration error {calibration_error(*pooled):.3f}",
            xlabel="confidence",
            xlim=(0, 1),
            ylim=(0, 1),
        )
    panes[0, 0].legend(loc="upper left")
    _save(figure, path)


def risk_coverage_curves(evaluation: Evaluation, path: Path) -> None:
    """Draw the share of errors among the surest readings of a corpus, the mean over corpora."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for title, parts in _protocols(evaluation).items():
        risks = [np.interp(ANSWERED, *risk_coverage(of.truth, of.p)) for of in parts]
        axes.plot(ANSWERED, np.mean(risks, axis=0), label=title)
    axes.set(
        title=f"{evaluation.system}: errors among the surest readings",
        xlabel="share of utterances answered",
        ylabel="share of errors",
        xlim=(0, 1),
        ylim=(0, None),
    )
    axes.legend()
    _save(figure, path)


def trials(evaluation: Evaluation, path: Path) -> None:
    """Draw the UAR under trying conditions."""
    table: dict[str, dict[str, Any]] = evaluation.figures["trials"]
    figure, axes = plt.subplots(figsize=(8, 4.5))
    drawn = axes.barh(list(table), [100 * one["uar"] for one in table.values()])
    axes.bar_label(drawn, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set(
        title=f"{evaluation.system} under trying conditions, {COLUMNS[SERVED]}",
        xlabel="UAR / %",
        xlim=(0, 100),
    )
    _save(figure, path)


def ablation(changes: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw what each change to the recipe brings, with its standard error over the runs."""
    changed = dict(list(changes.items())[1:])  # the first is the recipe itself
    figure, axes = plt.subplots(figsize=(8, 1.5 + 0.6 * len(changed)))
    places = np.arange(len(changed))
    for number, (key, label) in enumerate(COLUMNS.items()):
        gains = [100 * of[key]["gain"] for of in changed.values()]
        errors = [100 * of[key]["error"] for of in changed.values()]
        axes.barh(places + 0.27 * (number - 1), gains, 0.25, xerr=errors, label=label)
    axes.set_yticks(places, list(changed))
    axes.invert_yaxis()
    axes.axvline(0, color="black", lw=0.8)
    axes.set(title="what a change brings to corpora left out", xlabel="UAR gained / points")
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
