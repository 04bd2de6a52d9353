"""A scene as a terminal shows it; colours never say anything that words do not."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish.console import bar, clock
from affectd.daemon.watch.scene import PAST_S, Level, Node, Reading, Scene

FLOOR_DBFS: Final = -70.0  # where the meter begins
LOUD_DBFS: Final = (-12.0, -3.0)  # above which it turns yellow, and red
COLOURS: Final = {
    "neutral": "white",
    "calm": "cyan",
    "happy": "yellow",
    "sad": "blue",
    "angry": "red",
    "fearful": "magenta",
    "disgusted": "green",
    "surprised": "bright_cyan",
}
FAINT: Final = "bright_black"  # idle, unknown, and what is not of now
LABEL: Final = 11  # columns
FIGURE: Final = 8
BORDERS: Final = 2  # rows of a panel that hold nothing
SHORT: Final = 2 + BORDERS  # rows of a node in short
NOTHING: Final = " "  # a figure that is not there
LATE: Final = "levels are of the newest utterances"
Row = tuple[str, RenderableType, str]  # label, what fills the width, figure


def picture(scene: Scene, now_s: float, height: int) -> RenderableType:
    """All nodes in so many rows: in full, else in short, else as many as there is room for."""
    room = height - 2  # header and footer
    nodes = sorted(scene.nodes.values(), key=lambda node: (not node.is_watched, node.name))
    full = [[*_rows(node, scene, now_s), *_health(node, now_s)] for node in nodes]
    if sum(len(rows) + BORDERS for rows in full) <= room:
        shown = [_panel(node, rows) for node, rows in zip(nodes, full, strict=True)]
        return Group(_header(scene), *shown, _footer(scene, 0))
    short = [_short(node, scene, now_s) for node in nodes]
    fitting = max(1, room // SHORT)
    shown = [_panel(node, rows) for node, rows in zip(nodes, short, strict=True)]
    return Group(_header(scene), *shown[:fitting], _footer(scene, len(nodes[fitting:])))


def _header(scene: Scene) -> Text:
    link = scene.link
    if not link.is_up:
        return _line(f"NOT CONNECTED: {link.text}", "bold red")
    return _line(f"affectd watch: {link.text}{'' if scene.has_levels else f'; {LATE}'}", "bold")


def _footer(scene: Scene, hidden: int) -> Text:
    parts = ["q ends"]
    if hidden:
        parts.append(f"{hidden} more node(s) have no room here: --node NAME shows one")
    if scene.link.is_up and not scene.nodes:
        parts.append("no node has been heard of yet")
    if scene.notice:
        parts.append(scene.notice)
    return _line(", ".join(parts), FAINT)


def _panel(node: Node, rows: Iterable[Row]) -> Panel:
    """Rows, in grids of their own where they have figures and where they have none."""
    grids = []
    for has_figure, group in groupby(rows, lambda row: bool(row[2])):
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True, width=LABEL)
        grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        if has_figure:
            grid.add_column(no_wrap=True, width=FIGURE, justify="right")
        for label, middle, figure in group:
            grid.add_row(Text(label), middle, *([Text(figure)] if has_figure else []))
        grids.append(grid)
    return Panel(
        Group(*grids),
        title=_line(f"{node.name}: {_state(node)}", "bold"),
        title_align="left",
        border_style="none" if node.is_watched else FAINT,
    )


def _state(node: Node) -> str:
    if node.is_offline:
        return "offline"
    if not node.is_here:
        return "not heard of any more"
    state = node.health.listening if node.health else "online"
    return f"{state}, someone is speaking" if node.is_speaking else state


def _rows(node: Node, scene: Scene, now_s: float) -> list[Row]:
    return [
        _level(node, scene, now_s),
        _speech(node, now_s),
        _mood(node, now_s),
        (f"{PAST_S / 60:.0f} min", Strip(node, now_s), ""),
        *_reading(node.reading),
    ]


def _short(node: Node, scene: Scene, now_s: float) -> list[Row]:
    label = node.mood.mood if node.mood else "mood"
    return [_level(node, scene, now_s), (label, Strip(node, now_s), "")]


def _level(node: Node, scene: Scene, now_s: float) -> Row:
    """What is heard now or, where that is not told, the level of the newest utterance."""
    level, label = node.level_now(now_s), "level"
    if not scene.has_levels and node.reading is not None:
        level, label = Level(node.reading.level_dbfs, False), "last level"
    if level is None:
        return label, _line("not heard now", FAINT), NOTHING
    yellow, red = LOUD_DBFS
    dbfs = level.level_dbfs
    colour = "red" if dbfs > red else "yellow" if dbfs > yellow else "green"
    return label, Bar((dbfs - FLOOR_DBFS) / -FLOOR_DBFS, colour), f"{dbfs:.0f} dBFS"


def _speech(node: Node, now_s: float) -> Row:
    if not node.is_watched:
        return "speech", _line("not known now", FAINT), NOTHING
    level, since_s = node.level_now(now_s), node.speech_since_s
    lasted = "" if since_s is None else f", for {_span(now_s - since_s)}"
    voiced = "voiced" if level is not None and level.voiced else NOTHING
    if node.is_speaking:
        return "speech", _line(f"someone is speaking{lasted}", "bold green"), voiced
    return "speech", _line(f"nobody is speaking{lasted}"), voiced


def _mood(node: Node, now_s: float) -> Row:
    if node.mood is None:
        return "mood", _line("not told yet", FAINT), NOTHING
    since_s = max((mark.at_s for mark in node.marks if mark.mood), default=now_s)
    style = f"bold {COLOURS.get(node.mood.mood, FAINT)}"
    text = f"{node.mood.mood}, for {_span(now_s - since_s)}"
    return "mood", _line(text, style), f"{node.mood.confidence:.0%}"


def _reading(reading: Reading | None) -> list[Row]:
    """The newest reading, and a bar for each emotion; there is room for it before it came."""
    probabilities = reading.probabilities if reading else {}
    rows: list[Row] = [
        (
            f"  {label}",
            Bar(probabilities.get(label, 0.0), COLOURS[label]),
            _share(probabilities, label),
        )
        for label in EMOTIONS
    ]
    if reading is None:
        return [("reading", _line("none yet", FAINT), NOTHING), *rows]
    style = f"bold {COLOURS.get(reading.emotion, FAINT)}"
    text = f"{clock(reading.time)} {reading.emotion}, of {', '.join(reading.set)}"
    text += "".join(f", {flaw}" for flaw in reading.flaws)
    return [("reading", _line(text, style), f"{reading.confidence:.0%}"), *rows]


def _share(probabilities: dict[str, float], label: str) -> str:
    return f"{probabilities[label]:.0%}" if label in probabilities else NOTHING


def _health(node: Node, now_s: float) -> list[Row]:
    health = node.health
    if health is None:
        return []
    device = f"{health.device}{f' ({health.reason})' if health.reason else ''}"
    counts = {
        "overflows": health.overflows,
        "gaps": health.gaps,
        "withheld": health.dropped,
        "waiting": health.journal,
        "expired": health.expired,
    }
    told = [f"{name} {count}" for name, count in counts.items()]
    if health.lost_s:
        told.append(f"not heard for {_span(health.lost_s)}")
    age_s = health.uptime_s + now_s - node.health_at_s
    version = [health.version, f"up {_span(age_s)}"]
    if node.reading is not None:
        version.append(f"latency {node.reading.latency_ms:.1f} ms")
    if health.inference_ms is not None:
        version.append(f"networks {health.inference_ms:.1f} ms")
    style = "" if health.listening == "listening" else "bold yellow"
    rows: list[Row] = [
        ("device", _line(device, style), ""),
        ("health", _line(", ".join(told)), ""),
        ("version", _line(", ".join(version)), ""),
    ]
    if health.warning:
        rows.append(("WARNING", _line(health.warning, "bold yellow"), ""))
    return rows


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _span(seconds: float) -> str:
    """How long something lasted, in its largest unit."""
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


@dataclass(frozen=True, slots=True)
class Bar:
    """A share, of which what is less than 0 or more than 1 is not drawn."""

    share: float
    colour: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it over the whole width."""
        share = min(1.0, max(0.0, self.share))
        yield Segment(bar(share, options.max_width), Style(color=self.colour))


@dataclass(frozen=True, slots=True)
class Strip:
    """The moods of the past on a line, each named where it began; the right end is now."""

    node: Node
    now_s: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a segment for each mood."""
        moods = self.node.moods(self.now_s, options.max_width)
        for mood, cells in groupby(moods):
            yield _named(mood, len(list(cells)), options.ascii_only)


def _named(mood: str | None, width: int, ascii_only: bool) -> Segment:
    if mood is None:
        return Segment(" " * width)
    text = f"{'|' if ascii_only else '▏'}{mood} "
    colour = COLOURS.get(mood)
    style = Style(color="black", bgcolor=colour) if colour else Style(color=FAINT)
    return Segment(text[:width].ljust(width), style)
