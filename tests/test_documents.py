"""The documentation: it builds, names everything there is, and its links lead somewhere."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import markdown
import msgspec
import pytest

from affectd.daemon import schemas
from affectd.daemon.settings import Section, Settings
from docs.reference.payloads import EXAMPLES
from tests.conftest import ROOT
from tests.examples.contract import OBEYED, PUBLISHED, fields_of

PAYLOADS = sorted(schemas.TYPES.keys() - {"affectd", "doctor", "level"})
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "models/**/*.md", "train/**/*.md")
    for path in ROOT.glob(pattern)
)


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )


class Links(HTMLParser):
    """What a page of HTML links to and loads, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []  # of links and pictures
        self.loaded: list[str] = []  # by a browser, without a click
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.targets.append(values["href"])
        elif tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.append(values["href"])
        elif "src" in values:
            self.targets.append(values["src"])
            self.loaded.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def text_of(page: Path) -> str:
    """What is to be read on a page of the site."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def keys_of(kind: type[Section], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        yield f"{prefix}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from keys_of(field.type, f"{prefix}{field.name}.")


def test_every_key_of_the_configuration_has_an_entry_that_can_be_linked_to(site: Path) -> None:
    page = (site / "configuration.html").read_text()
    keys = list(keys_of(Settings))
    assert len(keys) > 50
    assert not [key for key in keys if f'id="{key}"' not in page]


def test_an_entry_says_type_range_default_and_meaning(site: Path) -> None:
    entry = text_of(site / "configuration.html").split("mqtt.port¶")[1].split("mqtt.version¶")[0]
    assert "brokers mostly take 1883" in entry
    assert "whole number, 1 to 65,535" in entry
    assert "default: 1883" in entry
    assert "AFFECTD_MQTT__PORT" in entry


def test_every_key_is_explained(site: Path) -> None:
    sections = re.split(r'<h[23] id="', (site / "configuration.html").read_text())[1:]
    entries = {part.partition('"')[0]: part for part in sections}
    bare = [key for key in keys_of(Settings) if "<p>" not in entries[key]]
    assert not bare, "config/affectd.yaml has no comment above them"


def test_every_topic_is_named(site: Path) -> None:
    told = text_of(site / "topics.html") + text_of(site / "mqtt-commands.html")
    names = [topic.removeprefix("affectd/+/") for topic in PUBLISHED | OBEYED]
    assert not [name for name in names if name not in told]


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_field_of_a_payload_is_in_the_reference(name: str, site: Path) -> None:
    page = site / ("mqtt-commands.html" if name.startswith("command-") else "topics.html")
    _, _, rest = page.read_text().rpartition(f'schema/{name}.schema.json"')
    assert rest, f"there is no reference of {name}"
    before = page.read_text()[: -len(rest)].rpartition("<table>")[2]
    assert not [field for field in fields_of(name) if f"<code>{field}</code>" not in before]


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_example_fits_its_schema(name: str) -> None:
    example = json.loads((EXAMPLES / f"{name}.json").read_text())
    jsonschema.validate(example, schemas.schema(name))


def test_every_command_has_a_heading(site: Path) -> None:
    page = text_of(site / "command-line.html")
    names = {path.stem for path in (ROOT / "daemon" / "commands").glob("[a-z]*.py")}
    names |= {"train evaluate", "train gate", "train fetch", "export", "voice show"}
    assert not [name for name in names if f"affectd {name}¶" not in page]


def test_every_option_in_the_code_is_in_the_reference(site: Path) -> None:
    page = text_of(site / "command-line.html")
    files = [
        ROOT / "daemon" / "cli.py",
        ROOT / "export" / "cli.py",
        *(ROOT / "train").rglob("*.py"),
    ]
    calls = [
        call
        for path in files
        for call in re.findall(r"add_argument\(\s*\"(--[a-z-]+)\"", path.read_text())
    ]
    assert len(calls) > 20
    assert not [option for option in calls if option not in page]


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    loaded = {path for page in pages for path in Links(page.read_text()).loaded}
    assert loaded
    assert not [path for path in loaded if urlsplit(path).netloc]


def test_a_broken_link_a_broken_anchor_and_a_page_that_nobody_finds_end_the_build(
    tmp_path: Path,
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "docs", root / "docs")
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(path, root)
    for name in ("config", "models", "systemd", "train"):
        (root / name).symlink_to(ROOT / name)
    (root / "docs" / "astray.md").write_text("# Astray\n\n[a](none.md) [b](index.md#none)\n")
    built = build(root, tmp_path / "site")
    assert built.returncode != 0
    for complaint in ("'none.md'", "'index.md#none'", 'not included in the "nav"'):
        assert complaint in built.stderr


def slug(text: str, separator: str) -> str:
    """The anchor of a heading where the repository is shown."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", separator)


@cache
def read(page: Path) -> Links:
    extensions = ["tables", "fenced_code", "toc"]
    settings = {"toc": {"slugify": slug}}
    return Links(
        markdown.markdown(page.read_text(), extensions=extensions, extension_configs=settings)
    )


def is_broken(page: Path, target: str) -> bool:
    """Whether a link of a page on disk leads nowhere; what is elsewhere must be well-formed."""
    link = urlsplit(target)
    if link.scheme:
        return link.scheme not in ("http", "https") or "." not in link.netloc
    path = page.parent / link.path if link.path else page
    if link.fragment and path.suffix == ".md":
        return not path.is_file() or link.fragment not in read(path).anchors
    return not path.exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_work_on_disk(page: Path) -> None:
    assert not [target for target in read(page).targets if is_broken(page, target)]


def test_a_link_that_does_not_work_on_disk_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n\n[well](#one-two) [well](page.md) [ill](#two) [ill](no.md) [ill](https://x)"
    )
    assert [is_broken(page, target) for target in read(page).targets] == [False] * 2 + [True] * 3
