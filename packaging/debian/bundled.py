"""Print each Python package that the environment holds, its version and its licence."""

from importlib.metadata import Distribution, distributions


def licence(found: Distribution) -> str:
    """What the package says of its licence, in one line."""
    said = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier", [])
        if line.startswith("License ::")
    ]
    return ", ".join(classifiers) or said.strip().partition("\n")[0] or "see its folder"


for one in sorted(distributions(), key=lambda found: found.name.lower()):
    print(f"{one.name} {one.version}: {licence(one)}")
