"""One folder a person can read: report.md and its pictures; report.json for programs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from affectd.daemon.errors import AffectdError
from affectd.train.adaptation import HEARD
from affectd.train.evaluate import Evaluation
from affectd.train.fits import Data
from affectd.train.provenance import commit
from affectd.train.recipe import Recipe
from affectd.train.runs import JOINED, RunConfig
from affectd.train.silence import utterances_an_hour

FILE: Final = "report.json"
KEYS: Final = {"systems", "readings", "config", "silence", "fitted_s"}
COMMITTED: Final = Path(__file__).parent / "results"
ABLATION: Final = "ablation"  # by `affectd train ablate`
SILENT_MINUTES: Final = 10  # of each kind of silence
FORMATS: Final = "formats"  # by `affectd train formats`


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
    readings: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write figures and pictures of an evaluation into a folder that is made if missing."""
    from affectd.train import plots

    folder.mkdir(parents=True, exist_ok=True)
    first = data.examples.clips[0].corpus
    report: dict[str, Any] = {
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fitted_s": round(made.fitted_s),
        "config": asdict(made.config),
        "features": asdict(data.examples.spec),
        "data": data.digest(),
        "tested": first,
        "corpora": list(made.corpora),
        "utterances": made.utterances,
        "systems": {evaluation.system: evaluation.figures for evaluation in evaluations},
        "readings": readings,
    }
    for name in (ABLATION, FORMATS):
        result = beside(folder, name, report["config"]["recipe"], report["data"])
        if result is not None:
            report[name] = result
    report["silence"] = utterances_an_hour(SILENT_MINUTES)
    (folder / FILE).write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(report))
    plots.class_distribution(data.examples, folder / "classes.png")
    plots.one_mfcc(data.examples, folder / "mfcc.png")
    plots.adaptation(evaluations, folder / "adaptation.png")
    plots.risk_coverage_curves(evaluations, folder / "risk_coverage.png")
    if ABLATION in report:
        plots.ablation(report[ABLATION]["changes"], folder / "ablation.png")
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
    return report


def put_beside(folder: Path, name: str, data: Data, recipe: Recipe, result: dict[str, Any]) -> None:
    """Keep a result, ABLATION or FORMATS, for the report that is written next."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"recipe": asdict(recipe), "data": data.digest(), "result": result}
    (folder / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


def beside(folder: Path, name: str, recipe: dict[str, Any], data: str) -> dict[str, Any] | None:
    """A result that was put beside a report; None if there is none.

    recipe, data: of the report. Raises ReportError if it is damaged, or was made with others.
    """
    path = folder / f"{name}.json"
    try:
        kept = json.loads(path.read_text())
        result: dict[str, Any] = kept["result"]
        made_of = kept["recipe"], kept["data"]
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is damaged ({error}); remove it, or make it again") from error
    if made_of != (json.loads(json.dumps(recipe)), data):
        raise ReportError(
            f"{path} is of another recipe or other recordings than this evaluation; "
            "remove it, or make it again"
        )
    return result


def load(folder: Path) -> dict[str, Any]:
    """Read report.json of a folder; raise ReportError if it is missing or damaged."""
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


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that matter most, for programs."""
    systems, readings = report["systems"], report["readings"]
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
            readings["noise"].get(readings["household"], {}).get("readings_per_hour")
            if readings
            else None
        ),
    }


def table(report: dict[str, Any]) -> str:
    """A Markdown table, a line a system, in percent."""
    rows = [
        "| system | UAR, nothing heard | 20 heard | 20 neutral or calm | accuracy | macro-F1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, figures in report["systems"].items():
        uar = figures["uar"]
        cells = [_spread(uar[key]) for key in ("heard_0", "heard_20", "heard_20_neutral")]
        cells += [_spread(figures["accuracy"]), _spread(figures["macro_f1"])]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _spread(figure: dict[str, Any]) -> str:
    return f"{100 * figure['mean']:.1f} ± {100 * figure['std']:.1f}"


def markdown(report: dict[str, Any]) -> str:
    """The whole report for a person."""
    config, systems = report["config"], report["systems"]
    parts = [
        "# Speaker-independent evaluation",
        f"{len(config['folds'])} folds, {len(config['seeds'])} seeds, tested on "
        f"{report['tested']}; mean over the folds, ± standard deviation over the seeds, percent; "
        "accuracy and macro-F1 with 20 utterances of the voice heard before. "
        f"Commit {report['commit']}, {report['finished']}; "
        f"the fits took {report['fitted_s'] / 3600:.1f} hours of one thread.",
        table(report),
        "95 % of bootstraps over the actors, with 20 utterances heard:",
        _intervals(systems),
        "![adaptation](adaptation.png) ![risk and coverage](risk_coverage.png)",
        "## Voice adaptation",
        _adaptation(systems),
    ]
    if JOINED in systems:
        parts += _joined(systems[JOINED])
    if report["readings"]:
        parts += ["## Readings of what is not acted emotion", _readings(report["readings"])]
    silence = ", ".join(f"{name} {count:g}" for name, count in report["silence"].items())
    parts += [
        "## Silence",
        f"Utterances an hour before any network, by {SILENT_MINUTES} minutes each: {silence}.",
    ]
    if ABLATION in report:
        parts += [
            "## What each ingredient brings",
            ablation_table(report[ABLATION]),
            "![what each ingredient brings](ablation.png)",
        ]
    if FORMATS in report:
        parts += ["## Formats", formats_table(report[FORMATS])]
    parts += ["## Confusion and learning"]
    for name in systems:
        file = name.replace("+", "_")
        curves = "" if name in (JOINED, "svm") else f" ![learning curves](curves_{file}.png)"
        parts += [
            f"![confusion](confusion_{file}.png){curves}",
        ]
    recipe = "\n".join(f"{name}: {value}" for name, value in config["recipe"].items())
    corpora = "\n".join(report["corpora"])
    parts += [
        "## Data and recipe",
        f"```\n{corpora}\n{report['utterances']}\n```",
        "![classes](classes.png) ![an MFCC](mfcc.png)",
        f"```\n{recipe}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _intervals(systems: dict[str, Any]) -> str:
    rows = ["| system | UAR | accuracy | macro-F1 |", "| --- | --- | --- | --- |"]
    for name, figures in systems.items():
        several = (figures["uar"]["heard_20"], figures["accuracy"], figures["macro_f1"])
        ends = [[100 * end for end in figure["interval"]] for figure in several]
        rows.append(f"| {name} | " + " | ".join(f"{a:.1f} to {b:.1f}" for a, b in ends) + " |")
    return "\n".join(rows)


def _adaptation(systems: dict[str, Any]) -> str:
    keys = ["heard_0"]
    keys += [f"heard_{n}{suffix}" for suffix in ("", "_neutral") for n in HEARD[1:]]
    names = [key.removeprefix("heard_").replace("_", " ") for key in keys]
    rows = [f"| heard before | {' | '.join(names)} |", "| --- |" + " --- |" * len(keys)]
    for name, figures in systems.items():
        cells = [f"{100 * figures['uar'][key]['mean']:.1f}" for key in keys]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _joined(figures: dict[str, Any]) -> list[str]:
    coverage, unknown = figures["coverage"], figures["unknown"]
    parts = [
        "## CNN and LSTM together, by group",
        "\n".join(
            f"- {group.removeprefix('per_')}: "
            + ", ".join(f"{name} {100 * value:.0f}" for name, value in figures[group].items())
            for group in ("per_class", "per_gender", "per_intensity", "per_actor")
        ),
        "![actors](actors.png)",
        "## Calibration",
        f"Expected calibration error {figures['ece']:.3f} (before: {figures['ece_before']:.3f}). "
        f"The 90 % sets cover {100 * coverage['mean']:.1f} % (worst actor "
        f"{100 * coverage['min_actor']:.0f} %) with {coverage['set_size']:.2f} emotions each. "
        f"{100 * unknown['share']:.1f} % of the utterances become unknown; of the rest "
        f"{100 * unknown['accuracy_of_the_rest']:.1f} % are right.",
        "Coverage by actor: "
        + ", ".join(f"{name} {100 * share:.0f}" for name, share in coverage["per_actor"].items())
        + ".",
        "![reliability](reliability.png)",
    ]
    if "trials" in figures:
        rows = ["| condition | UAR | clips without an utterance |", "| --- | --- | --- |"]
        rows += [
            f"| {name} | {_spread({'mean': one['uar'], 'std': one['std']})} | "
            f"{100 * one['not_heard']:.1f} |"
            for name, one in figures["trials"].items()
        ]
        parts += ["## Trying conditions", "\n".join(rows), "![trying conditions](trials.png)"]
    return parts


def _readings(readings: dict[str, Any]) -> str:
    rows = [
        "| sounds | hours | utterances | passed the gate | readings other than unknown "
        "| an hour | other than neutral or calm |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group in ("noise", "plain"):
        for name, one in readings[group].items():
            rows.append(
                f"| {name} | {one['hours']:.2f} | {one['utterances']:.0f} | {one['passed']:.0f} "
                f"| {one['readings']:.0f} | {one['readings_per_hour']:.1f} "
                f"| {100 * one['emotional_share']:.0f} % |"
            )
    kept = readings["gate"]["kept_in_trials"]
    return (
        "\n".join(rows)
        + "\n\nSounds as recorded, that no network or gate of the fold has learnt from, read after "
        "20 utterances of a test actor; summed over the seeds.\n"
        + f"\nThe gate lets {100 * readings['gate']['speech_kept']:.1f} % of the test actors' "
        "utterances through; under trying conditions: "
        + ", ".join(f"{name} {100 * share:.1f}" for name, share in kept.items())
        + ".\n"
    )


def ablation_table(ablation: dict[str, Any]) -> str:
    """A Markdown table of what changes when one ingredient is changed."""
    networks = list(next(iter(ablation["changes"].values())))
    rows = [
        f"Validation UAR, {ablation['runs']} runs of each (folds {ablation['folds']}, seeds "
        f"{ablation['seeds']}), percent; in brackets the difference to the recipe, ± its standard "
        "error over the runs. No test actor was looked at.",
        "",
        f"| change | {' | '.join(networks)} |",
        "| --- |" + " --- |" * len(networks),
    ]
    for name, figures in ablation["changes"].items():
        cells = [
            f"{100 * one['uar']:.1f}"
            + (f" ({100 * one['gain']:+.1f} ± {100 * one['error']:.1f})" if "gain" in one else "")
            if (one := figures.get(network))
            else ""
            for network in networks
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def formats_table(formats: dict[str, dict[str, float]]) -> str:
    """A Markdown table of what each format of the weights costs."""
    rows = [
        "UAR of the networks of one seed in TensorFlow Lite on the validation actors, 20 "
        "utterances heard before; time of one inference on one thread.",
        "",
        "| weights | cnn | lstm | cnn+lstm | kB, cnn / lstm | ms, cnn / lstm |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for form, one in formats.items():
        cells = [f"{100 * one[name]:.1f}" for name in ("cnn", "lstm", JOINED)]
        cells.append(f"{one['cnn_bytes'] / 1000:.0f} / {one['lstm_bytes'] / 1000:.0f}")
        cells.append(f"{one['cnn_ms']:.2f} / {one['lstm_ms']:.2f}")
        rows.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join(rows)
