"""The page in a real browser, at the widths of a desk and of a phone. `make browser` runs it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from affectd.daemon.cli import main
from tests.report import household
from tests.report.household import FIRST_S

pytestmark = pytest.mark.slow

WIDTHS = {"desk": 1100, "phone": 360}
SCHEMES = ("light", "dark")
# Of every visible text of a page: what it says, and where it is.
TEXTS = """
const found = [];
for (const text of document.querySelectorAll(arguments[0])) {
  const box = text.getBoundingClientRect();
  if (box.width && text.textContent.trim())
    found.push([text.textContent, box.left, box.top + scrollY, box.right, box.bottom + scrollY]);
}
return found;
"""
# The least contrast (WCAG 2) of visible text outside of plots with the background behind it.
CONTRAST = """
function channels(text) { return text.match(/[\\d.]+/g).map(Number); }
function luminance(rgb) {
  const [r, g, b] = rgb.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92
    : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function behind(element) {
  for (; element; element = element.parentElement) {
    const colour = channels(getComputedStyle(element).backgroundColor);
    if (colour.length == 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
}
const found = [];
for (const element of document.querySelectorAll('h1, h2, h3, p, dt, dd, li, th, td, caption, a, svg text')) {
  if (!element.textContent.trim() || !element.getBoundingClientRect().width) continue;
  const style = getComputedStyle(element);
  const ink = element instanceof SVGElement ? style.fill : style.color;
  const pair = [luminance(channels(ink)), luminance(behind(element))].sort((a, b) => b - a);
  found.push([(pair[0] + .05) / (pair[1] + .05), element.textContent.trim().slice(0, 40)]);
}
return found;
"""

Box = tuple[str, float, float, float, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a day of two nodes, of a week, of a month, and of nothing."""
    folder = tmp_path_factory.mktemp("pages")
    journal = folder / "journal.sqlite"
    household.fill(journal, ("kitchen", "living-room"), 6000, FIRST_S, days=30)
    for name, words in {
        "day": ["--day", "2026-11-16"],
        "week": ["--week", "2026-11-16", "--node", "kitchen"],
        "month": ["--month", "2026-11", "--node", "kitchen"],
        "nothing": ["--day", "2020-01-01"],
    }.items():
        to = ["--to", str(folder / f"{name}.html")]
        assert main(["report", "--journal", str(journal), *words, *to]) == 0
    return folder


class Browser:
    """Chromium without a screen and without a network."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.command("Network.enable")
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.command("Network.emulateNetworkConditions", **offline)

    def command(self, name: str, **values: Any) -> Any:
        """One of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, values)

    def show(self, page: Path, width: int, scheme: str, medium: str = "screen") -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", media=medium, features=[feature])
        self.driver.get(page.as_uri())

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    def logged(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logged("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    try:
        yield browser
    finally:
        browser.driver.quit()


@pytest.fixture(
    params=[
        (p, w, s) for p in ("day", "week", "month", "nothing") for w in WIDTHS for s in SCHEMES
    ],
    ids="-".join,
)
def shown(request: pytest.FixtureRequest, folder: Path, browser: Browser) -> Browser:
    page, width, scheme = request.param
    browser.requests()
    browser.logged("browser")
    browser.show(folder / f"{page}.html", WIDTHS[width], scheme)
    return browser


def overlapping(boxes: list[Box]) -> list[tuple[str, str]]:
    """Texts that lie on each other by more than a pixel."""
    return [
        (one[0], other[0])
        for number, one in enumerate(boxes)
        for other in boxes[:number]
        if min(one[3], other[3]) - max(one[1], other[1]) > 1
        and min(one[4], other[4]) - max(one[2], other[2]) > 1
    ]


def test_nothing_leaves_the_page_and_nothing_is_complained_of(shown: Browser) -> None:
    own = shown.driver.current_url
    asked = [address for address in shown.requests() if not address.startswith("data:")]
    assert asked == [own]
    assert shown.logged("browser") == []


def test_the_page_is_as_wide_as_its_window(shown: Browser) -> None:
    width = shown.run("return innerWidth")
    assert shown.run("return document.documentElement.scrollWidth") == width
    outside = (
        "return [...document.querySelectorAll('body *')].map(e => [e, e.getBoundingClientRect()])"
    )
    outside += ".filter(([e, b]) => b.width && (b.left < -0.5 || b.right > innerWidth + 0.5))"
    outside += ".map(([e, b]) => e.outerHTML.slice(0, 200))"
    assert shown.run(outside) == []
    assert shown.run("return document.querySelectorAll('.scroll').length") == shown.run(
        "return [...document.querySelectorAll('.scroll')]"
        ".filter(e => e.scrollWidth <= e.clientWidth).length"
    )


def test_no_text_lies_on_another(shown: Browser) -> None:
    assert overlapping(shown.run(TEXTS, "svg text")) == []
    words = "h1, h2, h3, header p, figcaption p, dt, dd, .legend li, td, th, caption, footer p"
    texts = shown.run(TEXTS, words)
    assert len(texts) >= 4
    assert overlapping(texts) == []


def test_text_is_large_enough_and_stands_out(shown: Browser) -> None:
    pixels = "return [...document.querySelectorAll('svg text')].filter(e => e.getBoundingClientRect().width)"
    pixels += ".map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)"
    assert all(size >= 9 for size in shown.run(pixels))
    contrasts = shown.run(CONTRAST)
    assert len(contrasts) >= 4
    assert [pair for pair in contrasts if pair[0] < 4.5] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["day", "week", "month"])
def test_every_plot_is_there_once_and_drawn(
    page: str, width: str, folder: Path, browser: Browser
) -> None:
    browser.show(folder / f"{page}.html", WIDTHS[width], "light")
    seen = browser.run(
        "return [...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg')]"
        ".map(s => s.getBoundingClientRect()).filter(b => b.width > 200 && b.height > 40).length)"
    )
    assert seen == [1] * (12 if page == "day" else 6)
    drawn = browser.run(
        "return [...document.querySelectorAll('svg.plot path')].filter(p =>"
        "p.getBoundingClientRect().width && !['none', 'rgba(0, 0, 0, 0)']"
        ".includes(getComputedStyle(p).fill)).length"
    )
    assert drawn > 100


def test_daylight_and_dark_differ_in_page_and_plots(folder: Path, browser: Browser) -> None:
    ask = "return [getComputedStyle(document.body).backgroundColor,"
    ask += "getComputedStyle(document.querySelector('svg text')).fill]"
    looks = []
    for scheme in SCHEMES:
        browser.show(folder / "day.html", WIDTHS["desk"], scheme)
        looks.append(browser.run(ask))
    (page, ink), (dark_page, dark_ink) = looks
    assert page != dark_page
    assert ink != dark_ink


def test_a_dark_page_is_printed_light_and_a_section_a_sheet(folder: Path, browser: Browser) -> None:
    browser.show(folder / "day.html", WIDTHS["desk"], "dark", "print")
    ink = browser.run("return getComputedStyle(document.querySelector('h1')).color")
    assert ink == "rgb(29, 37, 48)"
    sheets = browser.command("Page.printToPDF", printBackground=True)["data"]
    assert len(sheets) > 10_000


def test_a_page_is_ready_at_once(folder: Path, browser: Browser) -> None:
    began_s = time.monotonic()
    browser.show(folder / "month.html", WIDTHS["phone"], "light")
    assert browser.run("return document.readyState") == "complete"
    assert time.monotonic() - began_s < 20
