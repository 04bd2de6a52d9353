"""A scene as a terminal shows it; colours never say anything that words do not."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish.console import clock
from affectd.daemon.watch.scene import PAST_S, Health, Node, Scene

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
BORDERS: Final = 2  # rows of a panel that hold nothing
Row = tuple[str, RenderableType, str]  # label, what fills the width, figure


def picture(scene: Scene, now_s: float, height: int) -> RenderableType:
    """All nodes in so many rows: in full, else in short, else as many as there is room for."""
    room = height - 2  # header and footer
    nodes = sorted(scene.nodes.values(), key=lambda node: (not node.is_watched, node.name))
    full = [_full(node, scene, now_s) for node in nodes]
    if sum(len(rows) + BORDERS for rows in full) <= room:
        shown = [_panel(node, rows) for node, rows in zip(nodes, full, strict=True)]
        return Group(_header(scene), *shown, _footer(scene, 0))
    short = [_short(node, scene, now_s) for node in nodes]
    fitting = max(1, room // (len(short[0]) + BORDERS))
    shown = [_panel(node, rows) for node, rows in zip(nodes, short, strict=True)]
    return Group(_header(scene), *shown[:fitting], _footer(scene, len(nodes[fitting:])))


def _header(scene: Scene) -> Text:
    link = scene.link
    text = f"affectd watch: {link.text}" if link.is_up else f"NOT CONNECTED: {link.text}"
    return _line(text, "bold" if link.is_up else "bold red")


def _footer(scene: Scene, hidden: int) -> Text:
    parts = ["q ends"]
    if hidden:
        parts.append(f"{hidden} more node(s) have no room here: --node NAME shows one")
    if scene.link.is_up and not scene.nodes:
        parts.append("no node has been heard of yet")
    if scene.notice:
        parts.append(scene.notice)
    return _line(" · ".join(parts), FAINT)


def _panel(node: Node, rows: Iterable[Row]) -> Panel:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    grid.add_column(no_wrap=True, justify="right")
    for label, middle, figure in rows:
        grid.add_row(Text(label), middle, Text(figure))
    return Panel(
        grid,
        title=_line(f"{node.name}: {_state(node)}", "bold"),
        title_align="left",
        border_style="none" if node.is_watched else FAINT,
    )


def _state(node: Node) -> str:
    if node.is_offline:
        return "offline"
    if not node.is_here:
        return "not heard of any more"
    return node.health.listening if node.health else "online"


def _full(node: Node, scene: Scene, now_s: float) -> list[Row]:
    rows = [_level(node, scene, now_s), _speech(node, now_s)]
    rows += [_mood(node, now_s), (f"{PAST_S / 60:.0f} min", Strip(node, now_s), "")]
    rows += _reading(node)
    if node.health is not None:
        rows += _health(node.health)
    return rows


def _short(node: Node, scene: Scene, now_s: float) -> list[Row]:
    reading = node.reading
    newest = f"{reading.emotion} {reading.confidence:.0%}" if reading else ""
    label, strip, _ = (node.mood.mood if node.mood else "mood"), Strip(node, now_s), ""
    return [_level(node, scene, now_s), (label, strip, newest)]


def _level(node: Node, scene: Scene, now_s: float) -> Row:
    """What is heard now or, where that is not told, the level of the newest utterance."""
    level = node.level_now(now_s)
    if level is not None:
        voice = "voice" if level.voiced else ""
        return "level", _meter(level.level_dbfs), f"{level.level_dbfs:4.0f} dBFS {voice:5}"
    if scene.has_levels or node.reading is None:
        return "level", _line("not heard now", FAINT), ""
    dbfs = node.reading.level_dbfs
    return "level", _meter(dbfs), f"{dbfs:.0f} dBFS newest"


def _meter(dbfs: float) -> ProgressBar:
    yellow, red = LOUD_DBFS
    colour = "red" if dbfs > red else "yellow" if dbfs > yellow else "green"
    return _bar((dbfs - FLOOR_DBFS) / -FLOOR_DBFS, colour)


def _bar(share: float, colour: str) -> ProgressBar:
    return ProgressBar(
        total=1.0,
        completed=min(1.0, max(0.0, share)),
        style="grey23",
        complete_style=colour,
        finished_style=colour,
    )


def _speech(node: Node, now_s: float) -> Row:
    if not node.is_watched:
        return "speech", _line("not known now", FAINT), ""
    since_s = node.speech_since_s
    lasted = "" if since_s is None else f", for {_span(now_s - since_s)}"
    if node.is_speaking:
        return "speech", _line(f"● someone is speaking{lasted}", "bold green"), ""
    return "speech", _line(f"○ nobody is speaking{lasted}"), ""


def _mood(node: Node, now_s: float) -> Row:
    if node.mood is None:
        return "mood", _line("not told yet", FAINT), ""
    since_s = max((mark.at_s for mark in node.marks if mark.mood), default=now_s)
    style = f"bold {COLOURS.get(node.mood.mood, FAINT)}"
    text = f"{node.mood.mood}, for {_span(now_s - since_s)}"
    return "mood", _line(text, style), f"{node.mood.confidence:.0%}"


def _reading(node: Node) -> list[Row]:
    """The newest reading, and a bar for each emotion; there is room for it before it came."""
    reading = node.reading
    probabilities = reading.probabilities if reading else {}
    rows: list[Row] = [
        (
            f"  {label}",
            _bar(probabilities.get(label, 0.0), COLOURS[label]),
            _share(probabilities, label),
        )
        for label in EMOTIONS
    ]
    if reading is None:
        return [("reading", _line("none yet", FAINT), ""), *rows]
    style = f"bold {COLOURS.get(reading.emotion, FAINT)}"
    text = f"{clock(reading.time)} {reading.emotion}, of {', '.join(reading.set)}"
    text += "".join(f", {flaw}" for flaw in reading.flaws)
    return [("reading", _line(text, style), f"{reading.confidence:.0%}"), *rows]


def _share(probabilities: dict[str, float], label: str) -> str:
    return f"{probabilities[label]:.0%}" if label in probabilities else ""


def _health(health: Health) -> list[Row]:
    device = f"{health.device}{f' ({health.reason})' if health.reason else ''}"
    counts = {
        "overflows": health.overflows,
        "gaps": health.gaps,
        "withheld": health.dropped,
        "to be sent": health.journal,
        "expired": health.expired,
    }
    told = [f"{name} {count}" for name, count in counts.items()]
    if health.lost_s:
        told.append(f"not heard for {_span(health.lost_s)}")
    if health.inference_ms is not None:
        told.append(f"networks {health.inference_ms:.1f} ms")
    style = "" if health.listening == "listening" else "bold yellow"
    rows: list[Row] = [
        ("device", _line(device, style), ""),
        ("health", _line(" · ".join(told)), ""),
        ("version", _line(f"{health.version}, up {_span(health.uptime_s)}"), ""),
    ]
    if health.warning:
        rows.append(("WARNING", _line(health.warning, "bold yellow"), ""))
    return rows


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis", end="")


def _span(seconds: float) -> str:
    """How long something lasted, in its largest unit."""
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


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
