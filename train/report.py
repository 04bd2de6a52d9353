"""One folder a person can read: report.md and its pictures; report.json for programs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from affectd.train import plots
from affectd.train.evaluate import EvaluateConfig, Evaluation, Run
from affectd.train.examples import Examples
from affectd.train.provenance import commit


def write(
    folder: Path,
    examples: Examples,
    config: EvaluateConfig,
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    duration_s: float,
) -> None:
    """Write figures and pictures of an evaluation into a folder that is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {evaluation.system: figures_of(evaluation) for evaluation in evaluations}
    made: dict[str, Any] = {
        "corpus": examples.corpus.report(),
        "utterances": examples.report(),
        "config": asdict(config),
        "features": asdict(examples.spec),
        "clips": len(examples.corpus.clips),
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "duration_s": round(duration_s),
        "systems": figures,
    }
    (folder / "report.json").write_text(json.dumps(made, indent=2) + "\n")
    (folder / "report.md").write_text(_markdown(examples, config, evaluations, made["commit"]))
    plots.class_distribution(examples, folder / "classes.png")
    plots.one_mfcc(examples, folder / "mfcc.png")
    for evaluation in evaluations:
        name = evaluation.system.replace("+", "_")
        uar = figures[evaluation.system]["uar"]["mean"]
        title = f"{evaluation.system}: UAR {100 * uar:.1f} % on unseen actors"
        plots.confusion(
            title, evaluation.truth, evaluation.predicted, folder / f"confusion_{name}.png"
        )
        fitted = [run for run in runs if run.system == evaluation.system and run.curves]
        if fitted:
            plots.learning_curves(fitted, folder / f"curves_{name}.png")


def figures_of(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds of each figure, and the calibration."""
    figures: dict[str, dict[str, Any]] = {}
    for name in ("uar", "accuracy", "macro_f1"):
        values = [getattr(scores, name) for scores in evaluation.per_seed]
        figures[name] = {
            "mean": float(np.mean(values)),
            "std": float(np.std(values)),
            "per_seed": values,
        }
    figures["uar"]["per_fold"] = list(evaluation.per_fold_uar)
    figures["calibration"] = asdict(evaluation.calibration)
    return figures


def _markdown(
    examples: Examples, config: EvaluateConfig, evaluations: Sequence[Evaluation], made_by: str
) -> str:
    lines = [
        "# Speaker-independent evaluation",
        "",
        f"```\n{examples.corpus.report()}\n{examples.report()}\n```",
        "",
        f"{len(config.folds)} actor-disjoint folds, {len(config.seeds)} seeds, "
        f"{config.epochs} epochs; mean over the folds, ± standard deviation over the seeds; "
        f"commit {made_by}.",
        "",
        table(evaluations),
        "",
        "![classes](classes.png) ![an MFCC](mfcc.png)",
        "",
    ]
    for evaluation in evaluations:
        name = evaluation.system.replace("+", "_")
        curves = "" if "+" in evaluation.system else f" ![learning curves](curves_{name}.png)"
        lines += [f"## {evaluation.system}", "", f"![confusion](confusion_{name}.png){curves}", ""]
    return "\n".join(lines)


def table(evaluations: Sequence[Evaluation]) -> str:
    """A Markdown table, a line a system, in percent."""
    lines = ["| system | UAR | accuracy | macro-F1 |", "| --- | --- | --- | --- |"]
    for evaluation in evaluations:
        cells = []
        for name in ("uar", "accuracy", "macro_f1"):
            values = [100 * getattr(scores, name) for scores in evaluation.per_seed]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}")
        lines.append(f"| {evaluation.system} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
