"""The figures of a report that a bundle carries."""

from collections.abc import Iterator
from typing import Any, Final

from affectd.export.fitted import FIT_GATE, entry
from affectd.train.corpora.layouts import LAYOUTS
from affectd.train.fits import ENCODED
from affectd.train.folds import COUNT
from affectd.train.predictions import FOLDS, LEFT_OUT, TEST_ONLY
from affectd.train.runs import JOINED
from affectd.train.tables import COLUMNS, GATE

SYSTEMS: Final = (*ENCODED, JOINED)
# Corpora that serve for tests alone, and come as tables in folders of these names.
TEST_NAMES: Final = {
    "ased": "ASED",
    "polish_students": "Polish students",
    "emotiontts": "EmotionTTS",
}
# Names in a bundle of what a report has on the honesty of the networks' doubt.
DOUBT: Final = {
    "ece_folds": (FOLDS, "ece"),
    "ece_left_out": (LEFT_OUT, "ece"),
    "ece_test_only": (TEST_ONLY, "ece"),
    "coverage_left_out": (LEFT_OUT, "coverage"),
    "coverage_test_only": (TEST_ONLY, "coverage"),
    "unknown_left_out": (LEFT_OUT, "unknown"),
    "accuracy_if_known_left_out": (LEFT_OUT, "accuracy_if_known"),
}


def figures(report: dict[str, Any], system: str) -> dict[str, float]:
    """The main figures of one choice of networks, 0..1; those that the report lacks are left out.

    Raises ExportError if it has none of the networks or of the gate.
    """
    measured = entry(report, "systems", system)
    found: dict[str, float] = {}
    for key in COLUMNS:
        uar = entry(measured, "uar", key)
        found |= {f"uar_{key}": uar["mean"], f"uar_{key}_std": uar["std"]}
    for protocol in (LEFT_OUT, TEST_ONLY):
        if protocol in measured:
            mean = entry(measured, protocol, "mean")
            found |= {f"{protocol}_{key}": mean[key]["mean"] for key in COLUMNS if key in mean}
    doubt = measured.get("doubt", {})
    for name, (protocol, key) in DOUBT.items():
        if key in doubt.get(protocol, {}):
            found[name] = doubt[protocol][key]
    found["speech_kept"] = entry(report, GATE, "speech_kept", command=FIT_GATE)
    return found


def protocols(report: dict[str, Any]) -> Iterator[str]:
    """One sentence for each way in which the networks were measured on people they do not know."""
    measured, tested = entry(report, "systems", JOINED), corpus_name(entry(report, "tested"))
    yield (
        f"Folds: speakers of {tested}, in {COUNT} folds, each read by networks that had learnt "
        "from everyone else in the training data."
    )
    if LEFT_OUT in measured:
        yield (
            f"Left-out corpora: {_corpora(measured[LEFT_OUT])}, each read by networks that had "
            "learnt from the others alone."
        )
    if TEST_ONLY in measured:
        yield (
            f"Test-only corpora: {_corpora(measured[TEST_ONLY])}, from which nothing is ever "
            "learnt, read by networks that had learnt from all of the training data."
        )


def _corpora(protocol: dict[str, Any]) -> str:
    return ", ".join(map(corpus_name, entry(protocol, "corpora")))


def corpus_name(key: str) -> str:
    """Name a corpus as its publishers do, or by its folder if it is not a known one."""
    return LAYOUTS[key].name if key in LAYOUTS else TEST_NAMES.get(key, key)
