"""One folder a person can read: report.md and its pictures; report.json for programs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from affectd.daemon.errors import AffectdError
from affectd.train.corpora.corpus import Corpus
from affectd.train.corpora.kept_out import KEPT_OUT_SENTENCES, KEPT_OUT_SPEAKERS
from affectd.train.encoder import EncoderSpec
from affectd.train.evaluate import Evaluation
from affectd.train.examples import digest
from affectd.train.fits import BASELINES, ENCODED, Data
from affectd.train.predictions import FOLDS, LEFT_OUT, TEST_ONLY
from affectd.train.provenance import commit
from affectd.train.runs import JOINED, RunConfig, made_of
from affectd.train.silence import utterances_an_hour
from affectd.train.stored import write_text
from affectd.train.tables import ABLATION, COLUMNS, GATE, KNOWN, markdown

FILE: Final = "report.json"
KEYS: Final = {"systems", "tested", "config", "encoder", "silence", "fitted_s", "data"}
HONESTY: Final = ("ece", "ece_pooled", "coverage", *KNOWN)
COMMITTED: Final = Path(__file__).parent / "results"
BESIDE: Final = (GATE, ABLATION)  # each in a file of its own beside the report
DIGITS: Final = 4  # of the figures in a summary
KEPT: Final = {  # shares in a summary of what the gate keeps, by the name of the trying condition
    "quiet_kept": "peak at -40 dBFS",
    "room_kept": "in a room",
    "noise_0_db_kept": "household noise, 0 dB",
}


class ReportError(AffectdError):
    """A report is missing or damaged, or what lies beside it does not belong to it."""


@dataclass(frozen=True, slots=True)
class Made:
    """How an evaluation was made."""

    config: RunConfig
    corpora: tuple[Corpus, ...]
    utterances: str
    fitted_s: float  # on one thread, all fits together
    encoder_parity: float  # see `encoder.difference`, to the encoder with float32 weights


def write(
    folder: Path, data: Data, made: Made, evaluations: Sequence[Evaluation]
) -> dict[str, Any]:
    """Write figures and pictures of an evaluation into a folder that is made if missing.

    Returns the figures, and under their names the results beside them.
    """
    from affectd.train import plots

    report = {
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fitted_s": round(made.fitted_s),
        "config": asdict(made.config),
        "runs": made_of(made.config, data),
        "encoder": {
            "file": data.encoder.path.name,
            "sha256": data.encoder.sha256,
            **asdict(EncoderSpec()),
            "parity": made.encoder_parity,
        },
        "data": digest(data.examples),
        "tested": data.examples.clips[0].corpus,
        "corpora": [corpus.report() for corpus in made.corpora],
        "training": [_source(corpus) for corpus in made.corpora],
        "kept_out": {
            "speakers": sorted(KEPT_OUT_SPEAKERS),
            "sentences": sorted(KEPT_OUT_SENTENCES),
        },
        "utterances": made.utterances,
        "systems": {evaluation.system: evaluation.figures for evaluation in evaluations},
        "silence": utterances_an_hour(),
    }
    _write_json(report, folder / FILE)
    plots.draw(folder, data, evaluations)
    return _write_markdown(folder)


def _source(corpus: Corpus) -> dict[str, Any]:
    """Describe a corpus, as in a bundle: what the networks have learnt from it."""
    learnt = [clip for clip in corpus.clips if clip.is_learnt]
    return {
        "name": corpus.name,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "clips": len(learnt),
        "voices": len({clip.speaker for clip in learnt}),
    }


def put_beside(folder: Path, name: str, data: Data, result: dict[str, Any]) -> None:
    """Keep a result of another command beside the report, and show it there.

    name: one of BESIDE. Raises ReportError, and keeps nothing, if there is a report of other
    recordings.
    """
    path = folder / f"{name}.json"
    kept = {"data": digest(data.examples), "result": result}
    has_report = (folder / FILE).exists()
    if has_report:
        _check(path, kept, _report(folder))
    _write_json(kept, path)
    if has_report:
        _write_markdown(folder)


def _write_json(content: dict[str, Any], path: Path) -> None:
    write_text(json.dumps(content, indent=1) + "\n", path)


def _write_markdown(folder: Path) -> dict[str, Any]:
    report = load(folder)
    write_text(markdown(report), folder / "report.md")
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
    if missing := KEYS - set(report):
        raise ReportError(
            f"{path} is no report, as it lacks {', '.join(sorted(missing))}; "
            "run `affectd train evaluate` again"
        )
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
    """A result must be of the report's data."""
    if kept["data"] != report["data"]:
        raise ReportError(
            f"{path} is of other recordings ({kept['data']}) than the evaluation beside it "
            f"({report['data']}); remove it, or make one of them again"
        )


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that matter most, for programs: None for those that are missing."""
    systems = report["systems"]
    joined = systems.get(JOINED, {})
    names = dict.fromkeys((JOINED, *ENCODED, *BASELINES, *systems))
    doubt, named = joined.get("doubt", {}), {report["tested"]: FOLDS}
    named |= {LEFT_OUT: LEFT_OUT, TEST_ONLY: TEST_ONLY}
    figures: dict[str, Any] = _rounded(
        {
            "uar": {name: _means(systems.get(name, {}).get("uar")) for name in names},
            **{protocol: _corpora(joined.get(protocol)) for protocol in (LEFT_OUT, TEST_ONLY)},
            **{
                figure: {name: doubt.get(key, {}).get(figure) for name, key in named.items()}
                for figure in HONESTY
            },
            "gate": _gate(report.get(GATE)),
            "same_at_any_gain": joined.get("same_at_any_gain"),
            "seeds": len(report["config"]["seeds"]),
        }
    )
    return figures


def _means(uar: dict[str, Any] | None) -> dict[str, float] | None:
    return {key: uar[key]["mean"] for key in COLUMNS} if uar else None


def _corpora(figures: dict[str, Any] | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    corpora = {name: _means(of["uar"]) for name, of in figures["corpora"].items()}
    return {"mean": _means(figures["mean"]), "corpora": corpora}


def _gate(gate: dict[str, Any] | None) -> dict[str, Any] | None:
    if gate is None:
        return None
    per_hour = {name: of["passed_per_hour"] for name, of in gate["sounds"].items()}
    return {
        "speech_kept": gate["speech_kept"],
        **{name: gate["kept_in_trials"].get(condition) for name, condition in KEPT.items()},
        "household_noise_per_hour": per_hour[gate["household"]],
        "passed_per_hour": per_hour,
        "threshold": gate["threshold"],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(of) for key, of in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value
