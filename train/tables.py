"""The report for a person, in Markdown: from its figures alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.conditions import Trials
from affectd.train.fits import BASELINES, ENCODED, HEARD_BY_NODE, NOTHING, QUIET, SERVED
from affectd.train.predictions import FOLDS, LEFT_OUT, TEST_ONLY
from affectd.train.runs import JOINED
from affectd.train.silence import MINUTES

# Results of other commands: keys of a report.
GATE: Final = "gate"
ABLATION: Final = "ablation"
RAVDESS: Final = "ravdess"
KNOWN: Final = ("unknown", "accuracy_if_known", "accuracy_if_known_of_its_emotions")
COLUMNS: Final = {
    NOTHING: "nothing heard",
    SERVED: f"{HEARD_BY_NODE} heard",
    QUIET: f"{HEARD_BY_NODE} neutral or calm",
}
HEAD: Final = (
    *(f"UAR, {label}" for label in COLUMNS.values()),
    f"95 % interval, {COLUMNS[SERVED]}",
)
GENDERS: Final = {"f": "women", "m": "men"}
LANGUAGES: Final = {
    RAVDESS: "English",
    "cremad": "English",
    "nemo": "Polish",
    "banglaser": "Bangla",
    "tess": "English",
    "savee": "English",
    "emodb": "German",
    "emovo": "Italian",
    "indian": "Indian languages",
    "ased": "Amharic",
    "polish_students": "Polish",
    "emotiontts": "Korean",
}
TITLES: Final = {LEFT_OUT: "Corpora left out", TEST_ONLY: "Test-only corpora"}
QUESTIONS: Final = {
    FOLDS: "Each fold tests some speakers of a corpus; the networks learn from everyone else. It "
    "asks how well they read an unknown voice in recordings like those that they learn from.",
    LEFT_OUT: "Each corpus is left out in turn, and networks that learn from the others are tested "
    "on it. It asks how well they read unknown voices in an unknown room, through an unknown "
    "microphone and perhaps in an unknown language, as in every household.",
    TEST_ONLY: "Networks that learn from all training corpora, as the shipped ones do, are tested "
    "on corpora that no weight and no threshold depends on. It asks how well the shipped networks "
    "read recordings of other people and places.",
}
EXPLANATION: Final = (
    "Shares are in percent: means over the seeds, with ± standard deviation if there are several. "
    "UAR is the unweighted average recall: the mean over the emotions of the share of clips that "
    "are recognised. Before a clip is read, the normalisation has heard nothing of its voice, "
    f"{HEARD_BY_NODE} other utterances, or {HEARD_BY_NODE} neutral or calm ones; figures that name "
    f"none of these are after {HEARD_BY_NODE}. "
    f"Intervals hold 95 % of bootstraps over the speakers. {', '.join(BASELINES)} read MFCCs "
    "without the encoder."
)


def grid(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def percent(share: float | None) -> str:
    """Write a share in percent; nothing if there is none."""
    return "" if share is None else f"{100 * share:.1f}"


def spread(figure: dict[str, Any]) -> str:
    """Write mean and standard deviation of a share over the seeds, in percent."""
    deviation = f" ± {percent(figure['std'])}" if figure["std"] else ""  # none of a single seed
    return f"{percent(figure['mean'])}{deviation}"


def counted(number: int, thing: str) -> str:
    """Write a number of things: `1 seed`, `3 seeds`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def calibrating(figures: Mapping[str, Any]) -> str:
    """Name the recordings that calibrate a system, as `doubt.calibration_sources` has them."""
    return "left-out corpora" if LEFT_OUT in figures else "folds"


def table(report: dict[str, Any]) -> str:
    """Write a Markdown table of the folds, a line a system, in percent."""
    return grid(
        ("system", *HEAD, "accuracy", "macro-F1"),
        (
            [name, *_uars(of["uar"]), *map(spread, (of["accuracy"], of["macro_f1"]))]
            for name, of in report["systems"].items()
        ),
    )


def _uars(uar: dict[str, Any]) -> list[str]:
    """Cells of the main columns, and of the interval after 20 utterances if there is one."""
    ends = uar[SERVED].get("interval")
    return [*(spread(uar[key]) for key in COLUMNS), " to ".join(map(percent, ends or ()))]


def markdown(report: dict[str, Any]) -> str:
    """Write the whole report for a person."""
    config, systems, tested = report["config"], report["systems"], report["tested"]
    joined = systems.get(JOINED, {})
    way = "![the way here](way.png) " if tested == RAVDESS else ""
    parts = [
        "# Evaluation on unseen speakers and corpora",
        f"{counted(len(config['seeds']), 'seed')}; commit "
        f"{report['commit']}, {report['finished']}; the fits took "
        f"{report['fitted_s'] / 3600:.1f} hours of one thread.",
        EXPLANATION,
        f"## Unseen speakers of {tested}",
        QUESTIONS[FOLDS],
        table(report),
        f"{way}![adaptation](adaptation.png)",
    ]
    for protocol, title in TITLES.items():
        if protocol in joined:
            parts += [f"## {title}", QUESTIONS[protocol], _corpora_table(systems, protocol)]
    if any(protocol in joined for protocol in TITLES):
        parts += ["![corpora](corpora.png)", "![confusion](confusion_corpora.png)"]
    if joined:
        parts += _joined(tested, joined)
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
    return "\n\n".join([*parts, *_made_of(report)]) + "\n"


def _corpora_table(systems: dict[str, Any], protocol: str) -> str:
    """Lines of CNN and LSTM joined for each corpus, and of each system for the mean."""
    head = ("corpus", "language", "clips", "chance", *HEAD, "arousal", "valence")
    rows = [
        [
            *(name, LANGUAGES.get(name, ""), of["clips"], percent(of["chance"])),
            *(*_uars(of["uar"]), percent(of.get("arousal")), percent(of.get("valence"))),
        ]
        for name, of in systems[JOINED][protocol]["corpora"].items()
    ]
    rows += [
        [f"mean, {name}", "", "", "", *_uars(of[protocol]["mean"]), "", ""]
        for name, of in systems.items()
        if protocol in of
    ]
    return grid(head, rows)


def _joined(tested: str, figures: dict[str, Any]) -> list[str]:
    """Write the sections on CNN and LSTM together."""
    parts = [
        "## CNN and LSTM together, by emotion and gender",
        "Recall of each emotion, and UAR of each gender.",
        _groups_table(tested, figures),
        "![confusion](confusion_cnn_lstm.png) ![speakers](speakers.png)",
    ]
    if figures.get("doubt"):
        calibration = figures["calibration"]
        parts += [
            "## Calibration",
            "Temperature, the threshold of `unknown` and prediction sets are calibrated on the "
            f"{calibrating(figures)}. No corpus is calibrated on its own recordings. The shipped "
            f"temperature is {calibration['temperature']:.2f}, the threshold "
            f"{calibration['threshold']:.3f}; the sets are meant to hold the right emotion in "
            f"{100 * calibration['coverage']:.0f} % of the readings.",
            _honesty_table(tested, figures["doubt"]),
            "![reliability](reliability.png) ![risk and coverage](risk_coverage.png)",
        ]
    if "trials" in figures:
        names = ", ".join(Trials.NAMES[number] for number in Trials.GAINS)
        parts += [
            "## Trying conditions",
            grid(
                ("condition", "UAR", "clips without an utterance"),
                (
                    (name, spread({"mean": of["uar"]} | of), percent(of["not_heard"]))
                    for name, of in figures["trials"].items()
                ),
            ),
            f"With {COLUMNS[NOTHING]}, {percent(figures['same_at_any_gain'])} % of the clips that "
            "give an utterance as recorded are read as the same emotion at every gain "
            f"({names}).",
            "![trying conditions](trials.png)",
        ]
    if "plain" in figures:
        plain = figures["plain"]
        parts += [
            "## Plain speech",
            f"Of {plain['utterances']} utterances that people read or say without acting, summed "
            f"over the seeds, {plain['readings']} are read as some emotion, and "
            f"{percent(plain['emotional_share'])} % of these as another than neutral or calm.",
        ]
    return parts


def _groups_table(tested: str, figures: dict[str, Any]) -> str:
    corpora = {f"unseen speakers of {tested}": figures}
    for protocol in TITLES:
        corpora |= figures.get(protocol, {}).get("corpora", {})
    return grid(
        ("corpus", *EMOTIONS, *GENDERS.values()),
        (
            [
                name,
                *(percent(of["per_class"].get(emotion)) for emotion in EMOTIONS),
                *(percent(of["per_gender"].get(gender)) for gender in GENDERS),
            ]
            for name, of in corpora.items()
        ),
    )


def _honesty_table(tested: str, doubt: dict[str, Any]) -> str:
    head = ["utterances of", "calibration error", "accuracy", "coverage", "emotions a set"]
    return grid(
        [*head, "unknown", "accuracy if known", "if known, of its emotions"],
        (
            [
                name,
                f"{of['ece']:.3f}"
                + (f" ({of['ece_pooled']:.3f} pooled)" if "corpora" in of else ""),
                *map(percent, (of["accuracy"], of["coverage"])),
                f"{of['set_size']:.2f}",
                *map(percent, (of[key] for key in KNOWN)),
            ]
            for name, of in _honesties(tested, doubt)
        ),
    )


def _honesties(tested: str, doubt: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if FOLDS in doubt:
        yield f"unseen speakers of {tested}", doubt[FOLDS]
    for protocol, title in TITLES.items():
        if protocol in doubt:
            yield from doubt[protocol]["corpora"].items()
            yield f"{title.lower()}, mean", doubt[protocol]


def _made_of(report: dict[str, Any]) -> list[str]:
    encoder = report["encoder"]
    blocks = " and ".join(map(str, encoder["blocks"]))
    recipe = "\n".join(f"{name}: {value}" for name, value in report["config"]["recipe"].items())
    learnt = " ![learning curves](losses.png)" if set(ENCODED) & set(report["systems"]) else ""
    return [
        "## Data and recipe",
        "```\n" + "\n".join([*report["corpora"], report["utterances"]]) + "\n```",
        f"![classes](classes.png){learnt}",
        f"Encoder: {encoder['file']}, block {blocks}, {encoder['weights']} weights, SHA-256 "
        f"{encoder['sha256']}.",
        f"```\n{recipe}\n```",
    ]


def gate_section(gate: dict[str, Any]) -> str:
    """Write the section on the speech gate, without its title."""
    sounds = grid(
        ("sounds", "hours", "utterances", "passed the gate", "an hour"),
        (
            (
                *(name, f"{of['hours']:.2f}", f"{of['utterances']:.0f}"),
                *(f"{of['passed']:.0f}", f"{of['passed_per_hour']:.1f}"),
            )
            for name, of in gate["sounds"].items()
        ),
    )
    kept = ", ".join(f"{name} {percent(share)}" for name, share in gate["kept_in_trials"].items())
    return "\n\n".join(
        [
            f"{gate['folds']} folds, {counted(gate['seeds'], 'seed')}, {gate['steps']} steps; "
            f"commit {gate['commit']}, {gate['finished']}. Sounds as recorded, from which "
            "the gate of the fold has not learnt, summed over the seeds. A sound that passes "
            "becomes a reading, or `unknown` where the networks are not sure.",
            sounds,
            f"Of the test speakers' utterances {percent(gate['speech_kept'])} % pass"
            + (f"; under trying conditions: {kept}." if kept else "."),
            "![what the gate lets through](gate.png)",
        ]
    )


def ablation_table(ablation: dict[str, Any]) -> str:
    """Write a Markdown table of what each change of an ingredient brings."""
    smaller = ", ".join(f"{name} {value}" for name, value in ablation["other_than_usual"].items())
    return "\n\n".join(
        [
            f"Mean UAR of {JOINED} in percent, {', '.join(ablation['left_out'])}, "
            f"{counted(len(ablation['seeds']), 'seed')}, commit {ablation['commit']}; in brackets "
            "the difference to the recipe, ± its standard error over the runs."
            + (f" The recipe here has {smaller}." if smaller else ""),
            grid(
                ("change", *COLUMNS.values()),
                (
                    [name, *(_gain(figures[key]) for key in COLUMNS)]
                    for name, figures in ablation["changes"].items()
                ),
            ),
        ]
    )


def _gain(of: dict[str, float]) -> str:
    return f"{percent(of['uar'])} ({100 * of['gain']:+.1f} ± {100 * of['error']:.1f})"
