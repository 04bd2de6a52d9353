"""The figures of a benchmark as Markdown, beside their targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.others import OTHERS


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, where it lies in the figures, and what it shall be."""

    name: str
    form: str  # of the value
    path: str  # keys, joined by points
    target: float | None = None
    is_least: bool = False  # whether the target is a least; else it is a most
    ancestor: str = ""  # path of the same in the ancestor's figures


ROWS: Final = (
    Row("CPU share of one core in silence", "{:.2%}", "cpu_share.silence", 0.005),
    Row("CPU share of one core in household noise", "{:.2%}", "cpu_share.noise"),
    Row(
        "CPU share of one core in unbroken speech",
        "{:.2%}",
        "cpu_share.speech",
        0.02,
        ancestor="cpu_share",
    ),
    Row(
        "CPU share in silence, through a virtual sound card",
        "{:.2%}",
        "card_cpu_share.silence",
        0.005,
    ),
    Row(
        "CPU share in unbroken speech, through a virtual sound card",
        "{:.2%}",
        "card_cpu_share.speech",
        0.02,
    ),
    Row("peak memory", "{:.1f} MB", "peak_mb", 90, ancestor="peak_mb"),
    Row("growth of memory after the warm-up", "{:.2f} MB", "grown_mb", 1.0),
    Row("process start to first frames heard", "{:.2f} s", "start_s", 1.0, ancestor="start_s"),
    Row(
        "end of utterance to publication, median",
        "{:.1f} ms",
        "daemon_ms.median",
        10,
        ancestor="answer_ms.median",
    ),
    Row(
        "end of utterance to publication, p99",
        "{:.1f} ms",
        "daemon_ms.p99",
        25,
        ancestor="answer_ms.p99",
    ),
    Row("end of utterance to a subscriber, median", "{:.1f} ms", "seen_ms.median"),
    Row("end of utterance to a subscriber, p99", "{:.1f} ms", "seen_ms.p99"),
    Row("`analyze`, times real time on one core", "{:.0f} x", "analyze_x", 500, is_least=True),
    Row(
        "`analyze` of unbroken speech alone",
        "{:.0f} x",
        "analyze_speech_x",
        ancestor="real_time_factor",
    ),
)


def tables(figures: Mapping[str, Any]) -> str:
    """All tables, and what was left out."""
    readings = figures["readings"]
    counts = ", ".join(f"{count} in {name}" for name, count in readings.items())
    return "\n".join(
        [
            f"{figures['seconds']:.0f} s on {figures['cores']} cores; readings: {counts}\n",
            "| | affectd | target | reached | ancestor |",
            "| --- | --- | --- | --- | --- |",
            *(line(row, figures) for row in ROWS),
            "",
            *_stages(figures["stages_ms_per_s"]),
            "",
            *_others(figures),
            *(f"\nLeft out: {why}" for why in figures["left_out"]),
        ]
    )


def line(row: Row, figures: Mapping[str, Any]) -> str:
    """One row beside its target and the ancestor; cells without a figure are empty."""
    value, theirs = _at(figures, row.path), None
    if row.ancestor and figures["ancestor"] is not None:
        theirs = _at(figures["ancestor"], row.ancestor)
    target = reached = ""
    if row.target is not None:
        target = f"{'>' if row.is_least else '<'} {row.form.format(row.target)}"
        if value is not None:
            reached = "yes" if _is_reached(row, row.target, value) else "no"
    return f"| {row.name} | {_cell(row, value)} | {target} | {reached} | {_cell(row, theirs)} |"


def _is_reached(row: Row, target: float, value: float) -> bool:
    return value > target if row.is_least else value < target


def _stages(by_part: Mapping[str, Mapping[str, float]]) -> list[str]:
    """CPU time by stage; the stages in the order of their cost in the last part."""
    last = list(by_part.values())[-1]
    totals = {name: sum(spent.values()) for name, spent in by_part.items()}
    lines = [
        f"| CPU ms a second of audio | {' | '.join(by_part)} |",
        f"| --- |{' --- |' * len(by_part)}",
    ]
    for stage in sorted({s for spent in by_part.values() for s in spent}, key=_cost_in(last)):
        cells = [
            f"{spent.get(stage, 0):.2f} ({spent.get(stage, 0) / max(totals[name], 1e-9):.0%})"
            for name, spent in by_part.items()
        ]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    lines.append(f"| all | {' | '.join(f'{total:.2f}' for total in totals.values())} |")
    return lines


def _cost_in(part: Mapping[str, float]) -> Any:
    return lambda stage: -part.get(stage, 0)


def _others(figures: Mapping[str, Any]) -> list[str]:
    """What others cost that listen all the time."""
    lines = [
        "| | CPU share at real-time pace | CPU share, as fast as it can | peak memory | start |",
        "| --- | --- | --- | --- | --- |",
    ]
    share = figures["cpu_share"]
    fast = 1 / figures["analyze_speech_x"]
    lines.append(
        f"| affectd, all of it, in unbroken speech | {share['speech']:.2%} | {fast:.2%} | "
        f"{figures['peak_mb']:.0f} MB | {figures['start_s']:.2f} s |"
    )
    for key, cost in figures["others"].items():
        lines.append(
            f"| {OTHERS[key].name} | {cost['cpu_share']:.2%} | {cost['fast_cpu_share']:.2%} | "
            f"{cost['peak_mb']:.0f} MB | {cost['start_s']:.2f} s |"
        )
    return lines


def _at(figures: Any, path: str) -> Any:
    """The value at a path, or None."""
    for key in path.split("."):
        figures = None if figures is None else figures[key]
    return figures


def _cell(row: Row, value: float | None) -> str:
    return "" if value is None else row.form.format(value)
