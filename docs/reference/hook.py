"""What mkdocs does beside turning pages into HTML; run it as `python -m mkdocs` in the repository.

Comments such as `<!-- reference: payload mood -->` become what is written from the code. Files
outside docs/ that pages link to are carried into the site, so that the same links work on disk,
where the repository is shown, and on the site.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs.reference import commands, configuration, payloads
from docs.reference.schema import ROOT, SCHEMAS

OUTSIDE: Final = (
    "C*.md",
    "config/**/*",
    "models/**/*.md",
    "systemd/**/*",
    "train/README.md",
    "train/recipe.py",
    "train/results/*.md",
    "train/results/*.png",
)
REFERENCES: Final[dict[str, Callable[[], str]]] = {
    "configuration": configuration.reference,
    "commands": commands.reference,
    **{
        f"payload {name}": partial(payloads.reference, name)
        for name in sorted(path.name.partition(".")[0] for path in SCHEMAS.iterdir())
        if name != "affectd"
    },
}
MARK: Final = re.compile(r"<!-- reference: (.+?) -->")
INTO_DOCS: Final = re.compile(r"\]\((?:\.\./)*docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/, in whose names mkdocs then finds what is linked to."""
    for path in sorted(path for pattern in OUTSIDE for path in ROOT.glob(pattern)):
        if path.is_file():
            files.append(_outside(path.relative_to(ROOT), config))
    return files


def _outside(path: Path, config: MkDocsConfig) -> File:
    return File(
        f"../{path.as_posix()}",
        config.docs_dir,
        config.site_dir,
        config.use_directory_urls,
        dest_uri=f"repository/{path.as_posix().removesuffix('.md')}"
        + (".html" if path.suffix == ".md" else ""),
        inclusion=InclusionLevel.NOT_IN_NAV,
    )


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Write the references; let links from outside into docs/ find its pages."""
    if page.file.src_uri.startswith("../"):
        return INTO_DOCS.sub("](/", markdown)
    return MARK.sub(lambda mark: REFERENCES[mark[1]](), markdown)
