"""`affectd report` from the command line, on a journal that is filled as the service fills it."""

import csv
import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from affectd.daemon import settings
from affectd.daemon.cli import main
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.publish.history import History
from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.messages import MoodMessage, UtteranceMessage
from affectd.daemon.report import table
from tests.conftest import AFFECTD, lines_of, run_affectd, wait_until
from tests.publish.samples import mood, utterance
from tests.report import household
from tests.report.household import FIRST_S

DAY = "2026-11-02"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two nodes."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    household.fill(path, ("kitchen", "office"), 400, FIRST_S, days=3)
    return path


@pytest.fixture(scope="module")
def text(journal: Path) -> str:
    """The page of a day."""
    return run_affectd("report", "--journal", journal, "--day", DAY, "--to", "-").stdout


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in Berlin, of a user who has nothing yet."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(settings, "SERVICE_STATE", tmp_path / "service")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield folder
    monkeypatch.undo()
    time.tzset()


def report(*words: object) -> int:
    return main(["report", *map(str, words)])


def written(*words: object) -> str:
    """The text of what is written to the file of that name."""
    assert report(*words, "--to", "report") == 0
    return Path("report").read_text()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class Page(HTMLParser):
    """Every tag and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                self.references.append(value or "")


# Forms


def test_a_page_is_written_under_the_name_of_its_time(
    journal: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--day", DAY], ["--week", "2026-W45"], ["--month", "2026-11"]):
        assert report("--journal", journal, "--node", "office", *words) == 0
    names = ["affectd-2026-11-02.html", "affectd-2026-W45.html", "affectd-2026-11.html"]
    assert capsys.readouterr().out.splitlines() == names
    assert sorted(path.name for path in here.iterdir()) == sorted(names)


def test_a_page_needs_nothing_but_itself(text: str) -> None:
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & {*page.tags} - {"link"}
    assert all(reference.startswith(("#", "data:,")) for reference in page.references)
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_every_id_in_a_page_is_there_once_and_every_reference_has_one(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    referred = {r[1:] for r in page.references if r.startswith("#")}
    referred |= set(re.findall(r"url\(#([^)]+)\)", text))
    referred |= {
        id_ for ids in re.findall(r'aria-labelledby="([^"]+)"', text) for id_ in ids.split()
    }
    assert referred
    assert referred <= set(page.ids)


def test_each_plot_says_what_it_shows_in_words(text: str) -> None:
    assert text.count("<desc ") == text.count('role="img"') == 2 * 9  # three of six are drawn twice
    assert re.search(r"<desc .*In all: neutral \d", text)
    assert re.search(r"<text [^>]*>12</text>", text)


def test_the_plots_take_their_colours_from_the_page(text: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--happy)" in drawn
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn)


def test_each_node_has_a_section_and_one_can_be_chosen(journal: Path, text: str) -> None:
    assert re.findall(r"<h2 [^>]*>(\w+)</h2>", text) == ["kitchen", "office"]
    one = written("--journal", journal, "--day", DAY, "--node", "office")
    assert re.findall(r"<h2 [^>]*>(\w+)</h2>", one) == ["office"]


def test_the_same_journal_makes_the_same_page(journal: Path) -> None:
    pages = [written("--journal", journal, "--day", DAY, "--node", "office") for _ in range(2)]
    made = re.compile(r"Made [^<]*")
    assert made.sub("", pages[0]) == made.sub("", pages[1])


def test_what_comes_from_the_journal_is_text_and_never_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&$x$"
    path = tmp_path / "journal.sqlite"
    with closing(Journal(path, 100, 3650)) as journal:
        for minute, state in enumerate(("listening", "lost", "listening", "listening")):
            when = f"2026-11-02T09:0{minute}:00.000Z"
            journal.listening(evil, state, evil if state == "lost" else "", when)  # type: ignore[arg-type]
        entry = {"node": evil, "time": "2026-11-02T09:00:00.000Z"}
        journal.add(msgspec.structs.replace(utterance(), **entry))
        since = "2026-11-02T09:00:00.000Z"
        journal.mood(msgspec.structs.replace(mood(), node=evil, since=since))
    text = written("--journal", path, "--day", DAY)
    assert "<script" not in text
    assert "lost: &lt;script&gt;alert(1)" in text
    assert report("--journal", path, "--day", DAY, "--png", "--to", "a.png") == 0


def test_a_picture_shows_the_plots_below_each_other(journal: Path) -> None:
    assert report("--journal", journal, "--day", DAY, "--node", "kitchen", "--png") == 0
    with Image.open("affectd-2026-11-02.png") as picture:
        assert picture.width == 1800
        assert picture.height > 2000
        happy = (np.asarray(picture)[..., :3] == (239, 182, 28)).all(axis=-1)
    assert happy.sum() > 1000


def test_a_picture_of_too_many_nodes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Journal(tmp_path / "journal.sqlite", 100, 3650)) as journal:
        for number in range(21):
            entry = {"node": f"room-{number}", "time": "2026-11-02T09:00:00.000Z"}
            journal.add(msgspec.structs.replace(utterance(f"{number}"), **entry))
    assert report("--journal", tmp_path / "journal.sqlite", "--day", DAY, "--png") == 1
    assert "there are 21 nodes, and a picture shows 20 at most" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_figures_come_as_one_object_a_line_on_standard_output(
    journal: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--journal", journal, "--day", DAY, "--json") == 0
    found = lines_of(capsys.readouterr().out)
    assert [line["node"] for line in found] == ["kitchen", "office"]
    with History(journal) as history:
        since, until = str(found[0]["since"]), str(found[0]["until"])
        assert (since, until) == ("2026-11-01T23:00:00.000Z", "2026-11-02T23:00:00.000Z")
        counts = [sum(1 for _ in history.readings(since, until, n)) for n in ("kitchen", "office")]
    assert [line["readings"] for line in found] == counts
    assert not list(here.iterdir())


def test_a_table_of_readings_is_the_readings(journal: Path) -> None:
    lines = rows(written("--journal", journal, "--day", DAY, "--csv"))
    with History(journal) as history:
        wanted = list(history.readings("2026-11-01T23:00:00.000Z", "2026-11-02T23:00:00.000Z"))
    assert len(lines) == len(wanted) > 100
    found = []
    for line in lines:
        fields: dict[str, object] = {k: v for k, v in line.items() if k not in EMOTIONS}
        fields |= {
            "probabilities": {emotion: float(line[emotion]) for emotion in EMOTIONS},
            "set": line["set"].split(),
            "flaws": line["flaws"].split(),
            "snr_db": float(line["snr_db"]) if line["snr_db"] else None,
        }
        found.append(msgspec.convert(fields, UtteranceMessage, strict=False))
    assert found == wanted


def test_moods_and_states_of_listening_come_as_tables_too(journal: Path) -> None:
    moods = rows(written("--journal", journal, "--day", DAY, "--csv", "moods"))
    assert {row["mood"] for row in moods} <= {*EMOTIONS, "idle"}
    assert set(moods[0]) >= {f.name for f in msgspec.structs.fields(MoodMessage)} - {
        "probabilities"
    }
    Path("report").unlink()
    states = rows(written("--journal", journal, "--month", DAY, "--csv", "listening"))
    assert list(states[0]) == ["node", "state", "reason", "time", "until"]
    assert "listening" in {row["state"] for row in states}


def test_no_cell_of_a_table_is_a_formula() -> None:
    file = io.StringIO()
    entry = msgspec.structs.replace(utterance(), node='=HYPERLINK("http://a")', level_dbfs=-30.5)
    table.write("readings", [entry], file)
    (row,) = rows(file.getvalue())
    assert (row["node"], row["level_dbfs"]) == ('\'=HYPERLINK("http://a")', "-30.5")


def test_a_report_goes_to_standard_output_and_nothing_else_does(journal: Path, text: str) -> None:
    done = run_affectd("report", "--journal", journal, "--day", DAY, "--csv", "--to", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows(done.stdout)) > 100
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")


# Nothing to tell


def test_a_time_without_entries_makes_a_page_that_says_so(journal: Path) -> None:
    assert "Nothing is in the journal for this time." in written(
        "--journal", journal, "--day", "2020-01-01"
    )
    assert "Nothing is in the journal of cellar for this time." in written(
        "--journal", journal, "--day", DAY, "--node", "cellar"
    )


def test_a_time_without_entries_makes_tables_and_figures_of_nothing(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = ["--journal", journal, "--day", "2020-01-01"]
    assert report(*day, "--json") == 0
    assert capsys.readouterr().out == ""
    assert rows(written(*day, "--csv")) == []
    assert report(*day, "--png") == 0
    with Image.open("affectd-2020-01-01.png") as picture:
        assert picture.width == 1800


def test_without_a_journal_the_error_says_where_it_was_looked_for(
    tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--day", DAY) == 1
    error = capsys.readouterr().err
    assert str(tmp_path / "home" / "affectd" / "journal.sqlite") in error
    assert "there is no journal of readings" in error
    assert not list(here.iterdir())


def test_a_file_that_is_no_journal_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "notes").write_text("not a database at all" * 100)
    assert report("--journal", path) == 1
    assert "file is not a database" in capsys.readouterr().err


# Which journal, which time


def test_the_journal_is_the_configured_one_then_the_users_own_then_the_services(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nodes() -> set[str]:
        return {row["node"] for row in rows(written("--day", DAY, "--csv"))}

    places = {
        "service": tmp_path / "service" / "journal.sqlite",
        "own": tmp_path / "home" / "affectd" / "journal.sqlite",
        "configured": tmp_path / "configured.sqlite",
    }
    for node, path in places.items():
        with closing(Journal(path, 100, 3650)) as one:
            entry = {"node": node, "time": "2026-11-02T09:00:00.000Z"}
            one.add(msgspec.structs.replace(utterance(), **entry))
        if node == "configured":
            monkeypatch.setenv("AFFECTD_JOURNAL__PATH", str(path))
        assert nodes() == {node}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--day"], "{:%Y-%m-%d}"),
        ([], "{:%Y-%m-%d}"),
        (["--week"], "{:%G-W%V}"),
        (["--month", "today"], "{:%Y-%m}"),
        (["--month", "2026-W45"], "2026-11"),
        (["--week", "2026-11"], "2026-W44"),
    ],
)
def test_a_time_is_named_by_any_day_week_or_month_and_is_today_if_it_is_not(
    words: list[str], name: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now()
    assert report("--journal", journal, *words, "--csv") == 0
    wanted = {f"affectd-{name.format(now)}.csv\n" for now in (before, datetime.now())}
    assert capsys.readouterr().out in wanted


@pytest.mark.parametrize("text", ["2026-13-01", "tomorrow", "0001-01-01", "9999-12-31", ""])
def test_what_is_no_date_is_wrong_usage(
    text: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--journal", journal, f"--day={text}") == 2
    assert "is no date of 1971 to 2998" in capsys.readouterr().err


# Files


def test_a_report_replaces_an_older_one_of_its_form_and_keeps_who_may_read_it(
    journal: Path,
) -> None:
    for form, ending in (([], "html"), (["--png"], "png"), (["--csv"], "csv")):
        path = Path(f"affectd-{DAY}.{ending}")
        words = ["--journal", journal, "--day", DAY, "--node", "cellar", *form]
        assert report(*words) == 0
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        before = path.stat().st_ino
        assert report(*words) == 0
        assert path.stat().st_mode & 0o777 == 0o644
        assert path.stat().st_ino != before
    assert len(list(Path().iterdir())) == 3


def test_a_file_of_something_else_is_not_overwritten(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.html").write_text("<p>mine")
    assert report("--journal", journal, "--day", DAY, "--to", "mine.html") == 1
    assert "is none that `affectd report` made in this form" in capsys.readouterr().err
    assert Path("mine.html").read_text() == "<p>mine"
    assert report("--journal", journal, "--day", DAY, "--to", journal) == 1
    with History(journal) as history:
        assert next(history.readings())


def test_a_folder_that_is_not_there_is_an_error(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--journal", journal, "--to", "no/such/page.html") == 1
    assert "no/such/page.html cannot be written (No such file" in capsys.readouterr().err


def test_what_is_no_file_is_written_as_it_is(journal: Path) -> None:
    assert report("--journal", journal, "--day", DAY, "--csv", "--to", "/dev/null") == 0
    os.mkfifo("pipe")
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_text()))
    reader.start()
    assert report("--journal", journal, "--day", DAY, "--csv", "--to", "pipe") == 0
    reader.join(60)
    assert len(rows(heard[0])) > 100


def test_a_signal_leaves_no_half_file(journal: Path, here: Path) -> None:
    code = (
        "import sys, time\nfrom affectd.daemon.commands import report\n"
        "def slow(*_): print('here', flush=True); time.sleep(600)\n"
        "report.gather = slow\nfrom affectd.daemon.cli import main\n"
        f"sys.exit(main(['report', '--journal', {str(journal)!r}]))"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        assert running.stdout.readline() == "here\n"
        assert len(list(here.iterdir())) == 1
        running.send_signal(number)
        assert running.wait(60) == 128 + number
        running.stdout.close()
        assert not list(here.iterdir())


# Around it


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_what_draws_is_named_if_it_is_missing_and_only_a_page_or_picture_needs_it(
    missing: str,
    journal: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in list(sys.modules):
        if name.startswith(("affectd.daemon.report.p", "matplotlib")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert report("--journal", journal, "--day", DAY) == 1
    assert f"need {missing}, which is not installed; install it with `pip" in (
        capsys.readouterr().err
    )
    assert not list(here.iterdir())
    for form in ("--csv", "--json"):
        assert report("--journal", journal, "--day", DAY, form) == 0


def test_tables_and_figures_load_nothing_that_draws(journal: Path) -> None:
    code = (
        "import sys\nfrom affectd.daemon.cli import main\n"
        f"main(['report', '--journal', {str(journal)!r}, '--day', '{DAY}', sys.argv[1]])\n"
        "print(*{n.partition('.')[0] for n in sys.modules}, file=sys.stderr)"
    )
    for form in ("--csv", "--json"):
        done = subprocess.run(
            [sys.executable, "-c", code, form], capture_output=True, text=True, check=True
        )
        loaded = set(done.stderr.split())
        assert "msgspec" in loaded
        assert not loaded & {"matplotlib", "jinja2", "PIL", "scipy", "ai_edge_litert"}


def test_the_service_may_write_at_the_same_time(tmp_path: Path) -> None:
    path, stop = tmp_path / "journal.sqlite", threading.Event()
    entry = {"time": "2026-11-02T09:00:00.000Z"}

    def serve() -> None:
        with closing(Journal(path, 10_000, 3650)) as journal:
            number = 0
            while not stop.is_set():
                number += 1
                assert journal.add(msgspec.structs.replace(utterance(f"{number}"), **entry))

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        wait_until(path.is_file, "there is a journal")
        for _ in range(5):
            assert report("--journal", path, "--day", DAY, "--csv") == 0
    finally:
        stop.set()
        serving.join(60)


def test_a_terminal_is_told_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    household.fill(path, ("kitchen",), 3000, FIRST_S, days=3)
    ours, theirs = pty.openpty()
    code = "from affectd.daemon.commands import report; report.TOLD_EVERY_S = 0.0\n"
    code += "from affectd.daemon.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    words = ["report", "--journal", str(path), "--month", DAY, "--json"]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert running.wait(60) == 0
    assert re.search(rb"\r1,\d\d\d read", told)
    assert told.endswith(b"\r\x1b[K")


def test_the_page_is_shown_by_the_browser_that_is_set(
    journal: Path, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/shown\n')
    browser.chmod(0o755)
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    done = subprocess.run(
        [*AFFECTD, "report", "--journal", str(journal), "--day", DAY, "--open", "--node", "cellar"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"affectd-{DAY}.html\n"
    assert (tmp_path / "shown").read_text() == f"{(here / f'affectd-{DAY}.html').as_uri()}\n"


def test_only_a_page_in_a_file_can_be_shown(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in (["--csv"], ["--to", "-"], ["--json"], ["--png"]):
        assert report("--journal", journal, "--open", *form) == 2
        assert "--open shows a page" in capsys.readouterr().err
