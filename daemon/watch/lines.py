"""What has changed in a scene, in lines without colours, where no terminal shows it."""

from affectd.daemon.publish.console import clock, verdict
from affectd.daemon.publish.messages import iso
from affectd.daemon.watch.scene import Node, Scene


def lines(before: Scene, after: Scene, now_s: float) -> list[str]:
    """A line for each thing that is new; levels are left out."""
    now = clock(iso(now_s))
    told = []
    if after.link != before.link:
        state = "connected to" if after.link.is_up else "not connected:"
        told.append(f"{now}  {state} {after.link.text}")
    if after.notice != before.notice:
        told.append(f"{now}  {after.notice}")
    for name, node in after.nodes.items():
        was = before.nodes.get(name, Node(name))
        if node is not was:
            told += [f"{now}  {name}  {news}" for news in _news(was, node)]
    return told


def _news(was: Node, node: Node) -> list[str]:
    news = []
    if node.is_offline and not was.is_offline:
        news.append("offline")
    if node.reading is not None and node.reading != was.reading:
        reading = node.reading
        news.append(f"reading  {verdict(reading.emotion, reading.confidence, reading.set)}")
    if node.mood is not None and (was.mood is None or node.mood.mood != was.mood.mood):
        news.append(f"mood  {node.mood.mood}")
    if node.is_speaking != was.is_speaking:
        news.append("speech  ON" if node.is_speaking else "speech  OFF")
    if node.health is not None:
        health = node.health
        state = (health.listening, health.reason, health.warning)
        if was.health is None or state != (
            was.health.listening,
            was.health.reason,
            was.health.warning,
        ):
            news.append("  ".join(part for part in ("health", *state) if part))
    return news
