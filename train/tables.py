"""The report for a person, in Markdown: from its figures alone."""

from typing import Any, Final

from affectd.train.adaptation import HEARD
from affectd.train.runs import JOINED
from affectd.train.silence import MINUTES

# What other commands measured, if they did: keys of a report.
GATE: Final = "gate"
ABLATION: Final = "ablation"
FORMATS: Final = "formats"


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
    spread = f" ± {100 * figure['std']:.1f}" if figure["std"] else ""  # none of a single seed
    return f"{100 * figure['mean']:.1f}{spread}"


def markdown(report: dict[str, Any]) -> str:
    """The whole report for a person."""
    config, systems = report["config"], report["systems"]
    parts = [
        "# Speaker-independent evaluation",
        f"{len(config['folds'])} fold(s), {len(config['seeds'])} seed(s), tested on "
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
    if GATE in report:
        parts += ["## Speech gate", gate_section(report[GATE])]
    silence = ", ".join(f"{name} {count:g}" for name, count in report["silence"].items())
    parts += [
        "## Silence",
        f"Utterances an hour before any network, by {MINUTES} minutes each: {silence}.",
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
    if "plain" in figures:
        plain = figures["plain"]
        parts += [
            "## Plain speech",
            f"Of {plain['utterances']} utterances that people read or say without acting, summed "
            f"over the seeds, {plain['readings']} are read as some emotion, and "
            f"{100 * plain['emotional_share']:.1f} % of these as another than neutral or calm.",
        ]
    return parts


def gate_section(gate: dict[str, Any]) -> str:
    """What the speech gate lets through."""
    rows = [
        "| sounds | hours | utterances | passed the gate | an hour |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {name} | {one['hours']:.2f} | {one['utterances']:.0f} | {one['passed']:.0f} "
        f"| {one['passed_per_hour']:.1f} |"
        for name, one in gate["sounds"].items()
    ]
    kept = ", ".join(f"{name} {100 * share:.1f}" for name, share in gate["kept_in_trials"].items())
    return "\n\n".join(
        [
            f"{gate['folds']} folds, {gate['seeds']} seed(s), {gate['epochs']} epochs; commit "
            f"{gate['commit']}, {gate['finished']}. Sounds as recorded, that the gate of the fold "
            "has not learnt from, summed over the seeds. What passes becomes a reading, or "
            "`unknown` where the networks are not sure.",
            "\n".join(rows),
            f"Of the test actors' utterances {100 * gate['speech_kept']:.1f} % pass"
            + (f"; under trying conditions: {kept}." if kept else "."),
            "![what the gate lets through](gate.png)",
        ]
    )


def ablation_table(ablation: dict[str, Any]) -> str:
    """A Markdown table of what changes when one ingredient is changed."""
    networks = list(next(iter(ablation["changes"].values())))
    smaller = ", ".join(f"{name} {value}" for name, value in ablation["other_than_usual"].items())
    rows = [
        f"Validation UAR, {ablation['runs']} runs of each (folds {ablation['folds']}, seeds "
        f"{ablation['seeds']}, commit {ablation['commit']}), percent; in brackets the difference "
        "to the recipe, ± its standard error over the runs. No test actor was looked at."
        + (f" The recipe is compared with {smaller}." if smaller else ""),
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
