"""One folder a person can read: report.md and its pictures; report.json for programs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from affectd.daemon.errors import AffectdError
from affectd.train.evaluate import Evaluation
from affectd.train.examples import digest
from affectd.train.fits import Data
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe
from affectd.train.runs import JOINED, RunConfig
from affectd.train.silence import utterances_an_hour
from affectd.train.tables import ABLATION, FORMATS, GATE, markdown

FILE: Final = "report.json"
KEYS: Final = {"systems", "config", "silence", "fitted_s", "data"}
COMMITTED: Final = Path(__file__).parent / "results"
BESIDE: Final = (GATE, ABLATION, FORMATS)  # each in a file of its own beside the report


class ReportError(AffectdError):
    """A report is missing or damaged, or what lies beside it does not belong to it."""


@dataclass(frozen=True, slots=True)
class Made:
    """How an evaluation was made."""

    config: RunConfig
    corpora: tuple[str, ...]  # reports of the corpora
    utterances: str
    fitted_s: float  # on one thread, all fits together


def write(
    folder: Path,
    data: Data,
    made: Made,
    evaluations: Sequence[Evaluation],
) -> dict[str, Any]:
    """Write figures and pictures of an evaluation into a folder that is made if missing.

    Returns them with what lies beside.
    """
    from affectd.train import plots

    folder.mkdir(parents=True, exist_ok=True)
    first = data.examples.clips[0].corpus
    report: dict[str, Any] = {
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fitted_s": round(made.fitted_s),
        "config": asdict(made.config),
        "features": asdict(data.examples.spec),
        "data": digest(data.examples),
        "tested": first,
        "corpora": list(made.corpora),
        "utterances": made.utterances,
        "systems": {evaluation.system: evaluation.figures for evaluation in evaluations},
        "silence": utterances_an_hour(),
    }
    (folder / FILE).write_text(json.dumps(report, indent=1) + "\n")
    plots.class_distribution(data.examples, folder / "classes.png")
    plots.one_mfcc(data.examples, folder / "mfcc.png")
    plots.adaptation(evaluations, folder / "adaptation.png")
    plots.risk_coverage_curves(evaluations, folder / "risk_coverage.png")
    for evaluation in evaluations:
        name = evaluation.system.replace("+", "_")
        plots.confusion(evaluation, folder / f"confusion_{name}.png")
        if evaluation.curves:
            plots.learning_curves(evaluation, folder / f"curves_{name}.png")
        if evaluation.system == JOINED:
            plots.reliability_diagram(evaluation, folder / "reliability.png")
            plots.actors(evaluation, folder / "actors.png")
            if "trials" in evaluation.figures:
                plots.trials(evaluation, folder / "trials.png")
    return _tell(folder)


def put_beside(
    folder: Path, name: str, data: Data, result: dict[str, Any], recipe: Recipe | None = None
) -> None:
    """Keep a result of another command beside the report, and tell it there.

    name: one of BESIDE. recipe: must be that of the report; None for any. Raises ReportError, and
    keeps nothing, if there is a report that it does not belong to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, asked = folder / f"{name}.json", asdict(recipe) if recipe else None
    kept = {"data": digest(data.examples), "recipe": asked, "result": result}
    is_told = (folder / FILE).exists()
    if is_told:
        _check(path, kept, _report(folder))
    path.write_text(json.dumps(kept, indent=1) + "\n")
    if is_told:
        _tell(folder)


def _tell(folder: Path) -> dict[str, Any]:
    report = load(folder)
    (folder / "report.md").write_text(markdown(report))
    return report


def load(folder: Path) -> dict[str, Any]:
    """The report of a folder, and under their names the results beside it.

    Raises ReportError if one is damaged, they do not belong together, or there is no report.
    """
    report = _report(folder)
    found = {name: _beside(folder / f"{name}.json", report) for name in BESIDE}
    return report | {name: result for name, result in found.items() if result is not None}


def _report(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); run `affectd train evaluate` first"
        ) from error
    except ValueError as error:
        raise ReportError(
            f"{path} is damaged ({error}); run `affectd train evaluate` again"
        ) from error
    if not isinstance(report, dict) or not report.keys() >= KEYS:
        raise ReportError(f"{path} is no report; run `affectd train evaluate` again")
    return report


def _beside(path: Path, report: dict[str, Any]) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text())
        result: dict[str, Any] = kept["result"]
        _check(path, kept, report)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is damaged ({error}); remove it, or make it again") from error
    return result


def _check(path: Path, kept: dict[str, Any], report: dict[str, Any]) -> None:
    """A result must be of the report's data, and of its recipe if it names one."""
    if kept["data"] != report["data"] or kept["recipe"] not in (None, report["config"]["recipe"]):
        raise ReportError(
            f"{path} is of another recipe or other recordings than the evaluation beside it; "
            "remove it, or make one of them again"
        )


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that matter most, for programs."""
    systems, gate = report["systems"], report.get(GATE)
    keys = ("heard_0", "heard_20", "heard_20_neutral")
    joined = systems.get(JOINED, {})
    coverage = joined.get("coverage", {})
    return {
        "uar": {
            name: {key: round(figures["uar"][key]["mean"], 4) for key in keys}
            for name, figures in systems.items()
        },
        "seeds": len(report["config"]["seeds"]),
        "ece": joined.get("ece"),
        "coverage": {key: coverage.get(key) for key in ("mean", "min_actor", "set_size")},
        "noise_readings_per_hour": (
            gate["sounds"][gate["household"]]["passed_per_hour"] if gate else None
        ),
    }
