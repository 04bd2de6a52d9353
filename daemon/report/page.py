"""The report as one HTML page that needs nothing else: no script, no font, no picture."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from affectd.daemon.report.figures import Figures
from affectd.daemon.report.palette import PALETTE
from affectd.daemon.report.period import Period
from affectd.daemon.report.picture import svg
from affectd.daemon.report.plots import NARROW, WIDE, Plot, drawable, shown_names
from affectd.daemon.report.tally import LABELS, MOODS, STATES, Tally

LEGENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "moods": MOODS,
    "microphone": STATES,
    "emotions": LABELS,
}


def page(
    period: Period,
    found: Iterable[tuple[Tally, Figures]],
    maker: str,
    made: str,
    version: str,
) -> str:
    """Write the page; found: what was counted of each node; made: when, for people."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "share": share, "number": number}
    return environment.get_template("page.html").render(
        period=period,
        nodes=[_node(index, tally, told) for index, (tally, told) in enumerate(found)],
        made=made,
        version=version,
        generator=maker,
        palette=PALETTE,
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: 123 h, 4 h 12 min, 12 min, 8 s."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 100:
        return f"{seconds / 3600:,.0f} h"
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min")) if n)


def share(part: float) -> str:
    """A share of 0..1 in percent."""
    return "under 1 %" if 0 < part < 0.005 else f"{part:.0%}".replace("%", " %")


def number(count: int) -> str:
    """A count with its thousands apart."""
    return f"{count:,}"


def _node(index: int, tally: Tally, told: Figures) -> dict[str, Any]:
    return {
        "id": f"node-{index}",
        "figures": told,
        "plots": [_plot(plot, tally, told, f"{plot.name}-{index}") for plot in drawable(tally)],
        "rows": _rows(told),
    }


def _plot(plot: Plot, tally: Tally, told: Figures, id_: str) -> dict[str, Any]:
    """A plot as wide as a desk's screen, and as narrow as a phone's; small ones are narrow."""
    widths = {"narrow": NARROW} if plot.is_small else {"wide": WIDE, "narrow": NARROW}
    shown = shown_names(tally)
    return {
        "plot": plot,
        "height": plot.height(tally.period),
        "summary": summary(plot.name, told),
        "legend": [name for name in LEGENDS.get(plot.name, ()) if name in shown],
        "drawings": [
            {"id": f"{id_}-{name}", "name": name, "width": width}
            | {"svg": Markup(svg(plot, tally, width, f"{id_}-{name}"))}  # noqa: S704
            for name, width in widths.items()
        ],
    }


def summary(plot: str, told: Figures) -> str:
    """What a plot shows, for who cannot see it."""
    if plot == "moods":
        return _listed({mood: duration(s) for mood, s in told.mood_s.items()})
    if plot == "microphone":
        return _listed({state: duration(s) for state, s in told.listening_s.items()})
    if plot == "emotions":
        return _listed({label: number(n) for label, n in told.emotions.items()})
    if plot == "readings":
        hours = [sum(hour.values()) for hour in told.by_hour]
        busiest = told.hours[hours.index(max(hours))]
        return f"{number(told.readings)} in all; most in the hour from {busiest}:00."
    return f"{share(told.confidence or 0)} in the mean of {number(told.readings)} readings."


def _listed(values: Mapping[str, str]) -> str:
    return "In all: " + ", ".join(f"{name} {value}" for name, value in values.items()) + "."


def _rows(told: Figures) -> list[tuple[str, int, float, float]]:
    """Of each emotion: readings, their share, and for how long it was the mood."""
    names = dict.fromkeys((*LABELS, *MOODS))
    rows = [(name, told.emotions.get(name, 0), told.mood_s.get(name, 0.0)) for name in names]
    return [(name, n, n / max(told.readings, 1), s) for name, n, s in rows if n or s]
