"""Plots as SVG for the page, and all of them as one PNG; nothing is shown on a screen."""

import io
import re
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from affectd.daemon.report.palette import PALETTE
from affectd.daemon.report.plots import WIDE, Plot, drawable, shown_names
from affectd.daemon.report.tally import Tally

UNITS_PER_INCH: Final = 72  # of an SVG by matplotlib
PNG_DPI: Final = 144
NOTE: Final = "A reading is a guess from the sound of speech, not a fact about a person."
NOTHING: Final = "nothing is in the journal"
STYLE: Final[dict[str, Any]] = {
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": PALETTE["ink"].light,
    "axes.edgecolor": PALETTE["line"].light,
    "axes.labelcolor": PALETTE["soft"].light,
    "axes.titlelocation": "left",
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALETTE["line"].light,
    "xtick.color": PALETTE["line"].light,
    "ytick.color": PALETTE["line"].light,
    "xtick.labelcolor": PALETTE["soft"].light,
    "ytick.labelcolor": PALETTE["soft"].light,
    "svg.fonttype": "none",  # text stays text, which can be read aloud, found and copied
    "svg.hashsalt": "affectd",  # the same drawing every time
}


def svg(plot: Plot, tally: Tally, width: int, id_: str) -> str:
    """The inside of an SVG element: colours are variables of the page, ids begin with id_."""
    with style.context(["default", STYLE]):  # whatever this user has set for other plots
        height = plot.height(tally.period)
        figure = Figure((width / UNITS_PER_INCH, height / UNITS_PER_INCH), layout="constrained")
        plot.draw(figure.add_subplot(), tally, width)
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    inside = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    for pattern, to in (
        (r"<defs>\s*<style.*?</style>\s*</defs>", ""),
        (r'\bid="', f'id="{id_}-'),
        (r'href="#', f'href="#{id_}-'),
        (r"url\(#", f"url(#{id_}-"),
        (r"font: (?:\d+ )?([\d.]+px) [^;\"]*", r"font-size: \1"),
        *((colour.light, f"var(--{name})") for name, colour in PALETTE.items()),
    ):
        inside = re.sub(pattern, to, inside, flags=re.DOTALL)
    return inside.strip()


def png(tallies: Sequence[Tally], title: str, file: BinaryIO, software: str) -> None:
    """Draw all plots of all nodes below each other; software: what made it, noted in the file."""
    drawn = [(tally, plot) for tally in tallies for plot in drawable(tally)]
    heights = [plot.height(tally.period) + 46 for tally, plot in drawn]
    size = (WIDE / UNITS_PER_INCH, (sum(heights) + 130) / UNITS_PER_INCH)
    with style.context(["default", STYLE]):
        figure = Figure(size, layout="constrained", facecolor=PALETTE["card"].light)
        figure.suptitle(title if drawn else f"{title}: {NOTHING}", size=17, ha="left", x=0.01)
        if drawn:
            panes = figure.subplots(len(drawn), height_ratios=heights, squeeze=False).flat
            for axes, (tally, plot) in zip(panes, drawn, strict=True):
                axes.set_title(
                    f"{tally.node}: {plot.title}" if len(tallies) > 1 else plot.title,
                    parse_math=False,
                )
                plot.draw(axes, tally, WIDE)
            _legend(figure, tallies)
        figure.savefig(file, format="png", dpi=PNG_DPI, metadata={"Software": software})


def _legend(figure: Figure, tallies: Sequence[Tally]) -> None:
    names = list(dict.fromkeys(name for tally in tallies for name in shown_names(tally)))
    figure.legend(
        [Patch(color=PALETTE[name].light) for name in names],
        names,
        title=NOTE,
        loc="outside lower left",
        alignment="left",
        ncols=9,
        frameon=False,
    )
