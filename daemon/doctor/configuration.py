"""Where the configuration is, and what goes before it. That it is right is known by now."""

from collections.abc import Iterator

from affectd.daemon.configuration import ENVIRONMENT_PREFIX
from affectd.daemon.doctor.case import Case
from affectd.daemon.doctor.finding import Finding, well


def check(case: Case) -> Iterator[Finding]:
    """Name file, nodes and the environment's variables."""
    overrides = sorted(name for name in case.environment if name.startswith(ENVIRONMENT_PREFIX))
    nodes = [node.node for node in case.settings.nodes()]
    where = f"{case.path} is fine" if case.path else "there is no file: every key has its default"
    before = f"; before it go {', '.join(overrides)} of this environment" if overrides else ""
    yield well(
        "configuration",
        f"{where} (node {', '.join(nodes)}){before}",
        file=str(case.path) if case.path else None,
        nodes=nodes,
        overrides=overrides,
    )
