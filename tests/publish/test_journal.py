import logging
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from affectd.daemon.capture.source import State
from affectd.daemon.errors import JournalError
from affectd.daemon.publish.history import History, Span
from affectd.daemon.publish.journal import CHECKPOINT_READINGS, Journal
from affectd.daemon.publish.messages import UtteranceMessage, iso
from tests.conftest import wait_until
from tests.publish.samples import mood, utterance

DAY_S = 86_400
CHILD = """
import sys
from pathlib import Path
from affectd.daemon.publish.journal import Journal
from tests.publish.samples import utterance
journal = Journal(Path(sys.argv[1]), 10_000, 1)
for number in range(1_000_000):
    id_ = f"{sys.argv[2]}-{number}"
    assert journal.add(utterance(id_))
    print("added", id_, flush=True)
    if number % 3 == 0:
        journal.acknowledge([id_])
        print("acknowledged", id_, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


class Clocks:
    """The wall clock, which anybody may set, and the one that runs."""

    def __init__(self) -> None:
        self.wall_s, self.running_s = 1_800_000_000.0, 5_000.0

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.running_s += seconds

    def journal(self, path: Path, rows: int = 1000, days: float = 10) -> Journal:
        return Journal(
            path, rows, days, wall_s=lambda: self.wall_s, running_s=lambda: self.running_s
        )


def opened(path: Path, rows: int = 1000, days: float = 10) -> "closing[Journal]":
    return closing(Journal(path, rows, days))


def ids_in(path: Path) -> list[str]:
    with History(path) as history:
        return [message.id for message in history.readings()]


def pending(journal: Journal, node: str = "kitchen") -> list[str]:
    return [unsent.message.id for unsent in journal.pending(node, 100_000)]


def of(node: str, id_: str, when: str = "2026-01-01T12:00:00.000Z") -> UtteranceMessage:
    return msgspec.structs.replace(utterance(id_), node=node, time=when)


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


# Outbox


def test_a_reading_is_unsent_until_it_is_acknowledged_and_history_ever_after(path: Path) -> None:
    with opened(path) as journal:
        assert journal.add(utterance("a"))
        assert journal.add(utterance("b"))
        assert pending(journal) == ["a", "b"]
        journal.acknowledge(["a"])
        assert pending(journal) == ["b"]
        assert journal.count_pending("kitchen") == 1
    assert ids_in(path) == ["a", "b"]


def test_what_is_unsent_outlives_the_service_unchanged(path: Path) -> None:
    with opened(path) as journal:
        journal.add(utterance("a"))
    with opened(path) as journal:
        assert [unsent.message for unsent in journal.pending("kitchen", 9)] == [utterance("a")]


def test_a_reading_that_is_entered_twice_is_there_once(path: Path) -> None:
    with opened(path) as journal:
        assert journal.add(utterance("a"))
        journal.acknowledge(["a"])
        assert journal.add(utterance("a"))
        assert pending(journal) == []
    assert ids_in(path) == ["a"]


def test_unsent_readings_come_in_pages_up_to_an_entry(path: Path) -> None:
    with opened(path) as journal:
        for number in range(5):
            journal.add(utterance(f"{number}"))
        up_to = journal.newest()
        journal.add(utterance("made since"))
        pages, after = [], 0
        while page := journal.pending("kitchen", 2, after=after, up_to=up_to):
            pages.append([unsent.message.id for unsent in page])
            after = page[-1].entry
    assert pages == [["0", "1"], ["2", "3"], ["4"]]


def test_each_room_has_an_outbox_of_its_own(path: Path) -> None:
    with opened(path) as journal:
        journal.add(of("kitchen", "k"))
        journal.add(of("office", "o"))
        assert (pending(journal, "kitchen"), pending(journal, "office")) == (["k"], ["o"])
        journal.acknowledge(["o"])
        assert (journal.count_pending("kitchen"), journal.count_pending("office")) == (1, 0)


def test_an_acknowledgement_of_what_is_unknown_changes_nothing(path: Path) -> None:
    with opened(path) as journal:
        journal.add(utterance("a"))
        journal.acknowledge(["never heard of", "'; DROP TABLE readings; --"])
        assert pending(journal) == ["a"]


def test_an_unsent_reading_that_is_not_understood_does_not_stop_the_others(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path) as journal:
        for id_ in ("a", "b", "c"):
            journal.add(utterance(id_))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE readings SET payload = '{' WHERE id IN ('a', 'b')")
        assert [unsent.message.id for unsent in journal.pending("kitchen", 1)] == ["c"]
        assert (journal.count_pending("kitchen"), journal.expired("kitchen")) == (1, 2)
    assert "1 unsent reading(s)" in caplog.text
    assert ids_in(path) == ["c"]
    assert "2 entries of" in caplog.text


# Bounds


def test_the_oldest_are_dropped_beyond_so_many_and_counted_if_unsent(path: Path) -> None:
    with opened(path, rows=3) as journal:
        for id_ in "abcde":
            journal.add(utterance(id_))
            if id_ == "b":
                journal.acknowledge(["b"])
        assert pending(journal) == ["c", "d", "e"]
        assert journal.expired("kitchen") == 1
    with opened(path, rows=2) as journal:
        assert journal.expired("kitchen") == 2
        assert pending(journal) == ["d", "e"]
    with History(path) as history:
        assert history.expired() == {"kitchen": 2}


def test_no_more_than_a_hundredth_goes_at_once(path: Path) -> None:
    with opened(path, rows=200) as journal:
        counts = []
        for number in range(404):
            journal.add(utterance(f"{number}"))
            counts.append(journal.count_pending("kitchen"))
    assert (max(counts), min(counts[200:])) == (200, 198)


def test_readings_moods_and_states_are_dropped_when_they_are_too_old(path: Path) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path, days=10)) as journal:
        for day in range(30):
            journal.add(utterance(f"{day}"))
            journal.mood(mood(("calm", "sad")[day % 2]))
            journal.listening("kitchen", ("lost", "listening")[day % 2], "", iso(clocks.wall_s))
            clocks.pass_by(DAY_S)
        assert journal.expired("kitchen") == 20
    with History(path) as history:
        assert [message.id for message in history.readings()] == [f"{n}" for n in range(20, 30)]
        counts = len(list(history.moods())), len(list(history.spans()))
    assert counts == (11, 12)  # a mood is as old as its beginning, a state as its end


def test_what_is_too_old_goes_though_nobody_speaks(path: Path) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path, days=1)) as journal:
        journal.add(utterance("old"))
        journal.mood(mood("sad"))
        for _ in range(2 * 24 * 60):
            journal.listening("kitchen", "listening", "", iso(clocks.wall_s))
            clocks.pass_by(60)
        with History(path) as history:
            assert (list(history.readings()), list(history.moods())) == ([], [])


def test_what_became_too_old_while_the_service_was_off_goes_at_the_start(path: Path) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path, days=10)) as journal:
        journal.add(utterance("old"))
        clocks.pass_by(6 * DAY_S)
        journal.add(utterance("young"))
    clocks.pass_by(4.5 * DAY_S)
    with closing(clocks.journal(path, days=10)) as journal:
        assert pending(journal) == ["young"]


@pytest.mark.parametrize("years", [-56, -1, 1, 70])
def test_a_clock_that_is_set_while_it_runs_drops_nothing(path: Path, years: int) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path, days=10)) as journal:
        journal.add(utterance("before"))
        clocks.wall_s += years * 365 * DAY_S
        journal.add(utterance("after"))
        clocks.wall_s -= years * 365 * DAY_S
        journal.add(utterance("mended"))
        assert pending(journal) == ["before", "after", "mended"]


@pytest.mark.parametrize("years", [-56, 70])
def test_a_start_with_a_wrong_clock_drops_no_more_than_the_older_half(
    path: Path, years: int
) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path, days=10)) as journal:
        for day in range(10):
            journal.add(utterance(f"{day}"))
            clocks.pass_by(DAY_S)
    clocks.wall_s += years * 365 * DAY_S
    with closing(clocks.journal(path, days=10)) as journal:
        journal.add(utterance("wrong"))
        clocks.wall_s -= years * 365 * DAY_S
        journal.add(utterance("mended"))
    for _ in range(3):
        with closing(clocks.journal(path, days=10)) as journal:
            left = pending(journal)
    assert left[-7:] == ["5", "6", "7", "8", "9", "wrong", "mended"]


def test_order_is_of_entry_and_not_of_time(path: Path) -> None:
    with opened(path) as journal:
        journal.add(of("kitchen", "first", "2038-01-01T00:00:00.000Z"))
        journal.add(of("kitchen", "second", "1970-01-01T00:00:00.000Z"))
        assert pending(journal) == ["first", "second"]
    assert ids_in(path) == ["first", "second"]


@pytest.mark.parametrize(("rows", "days"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_bounds_that_keep_nothing_are_refused(path: Path, rows: int, days: float) -> None:
    with pytest.raises(ValueError, match="rows must be 1 or more and days above 0"):
        Journal(path, rows, days)


class Model(RuleBasedStateMachine):
    """Whatever is entered, acknowledged and killed in any order, a list and two sets agree."""

    rows = 5
    days = 10

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.sqlite"
        self.clocks = Clocks()
        self.journal = self.clocks.journal(self.path, self.rows, self.days)
        self.kept: deque[tuple[str, str, float]] = deque()  # id, node, when
        self.unsent: set[str] = set()
        self.expired = {"kitchen": 0, "office": 0}
        self.count = 0

    def drop(self) -> None:
        age = self.clocks.running_s - 0.99 * self.days * DAY_S
        too_old = self.kept and self.clocks.running_s - self.kept[0][2] > self.days * DAY_S
        while self.kept and (len(self.kept) > self.rows or (too_old and self.kept[0][2] < age)):
            id_, node, _ = self.kept.popleft()
            self.expired[node] += id_ in self.unsent
            self.unsent.discard(id_)

    @rule(node=st.sampled_from(["kitchen", "office"]))
    def add(self, node: str) -> None:
        self.count += 1
        assert self.journal.add(of(node, f"{self.count}"))
        self.kept.append((f"{self.count}", node, self.clocks.running_s))
        self.unsent.add(f"{self.count}")
        self.drop()

    @rule(numbers=st.lists(st.integers(1, 30), max_size=4))
    def acknowledge(self, numbers: list[int]) -> None:
        self.journal.acknowledge([f"{number}" for number in numbers])
        self.unsent -= {f"{number}" for number in numbers}

    @rule(number=st.integers(1, 30))
    def add_again(self, number: int) -> None:
        for id_, node, _ in self.kept:
            if id_ == f"{number}":
                assert self.journal.add(of(node, id_))

    @rule(days=st.integers(0, 4))
    def wait(self, days: int) -> None:
        self.clocks.pass_by(days * DAY_S)

    @rule(years=st.integers(-60, 60))
    def set_the_clock(self, years: int) -> None:
        self.clocks.wall_s = 1_800_000_000.0 + years * 365 * DAY_S

    @rule()
    def start_again_after_three_days(self) -> None:
        """The gap after a last entry is what the wall clock says, so it must not be set in it."""
        self.add("kitchen")
        self.journal.close()
        self.clocks.pass_by(3 * DAY_S)
        self.journal = self.clocks.journal(self.path, self.rows, self.days)
        self.drop()

    @invariant()
    def all_agree(self) -> None:
        for node in self.expired:
            unsent = [i for i, of_node, _ in self.kept if of_node == node and i in self.unsent]
            assert pending(self.journal, node) == unsent
            assert self.journal.count_pending(node) == len(unsent)
            assert self.journal.expired(node) == self.expired[node]
        assert ids_in(self.path) == [id_ for id_, *_ in self.kept]

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestAnyOrder = Model.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


# History


def test_history_is_chosen_by_time_and_node(path: Path) -> None:
    with opened(path) as journal:
        for hour in range(4):
            journal.add(of("kitchen", f"k{hour}", f"2026-01-01T0{hour}:00:00.000Z"))
            journal.add(of("office", f"o{hour}", f"2026-01-01T0{hour}:30:00.000Z"))
    with History(path) as history:
        since, until = "2026-01-01T01:00:00.000Z", "2026-01-01T03:00:00.000Z"
        assert [m.id for m in history.readings(since, until)] == ["k1", "o1", "k2", "o2"]
        assert [m.id for m in history.readings(until=until, node="office")] == ["o0", "o1", "o2"]


def test_moods_are_kept_when_they_change(path: Path) -> None:
    with opened(path) as journal:
        for name in ("calm", "calm", "sad", "sad", "calm"):
            journal.mood(mood(name))
    with History(path) as history:
        assert list(history.moods()) == [mood("calm"), mood("sad"), mood("calm")]


def test_spans_of_listening_end_where_the_next_begins(path: Path) -> None:
    with opened(path) as journal:
        journal.listening("kitchen", "opening", "", iso(0))
        journal.listening("kitchen", "listening", "", iso(1))
        journal.listening("kitchen", "listening", "", iso(61))
        journal.listening("kitchen", "lost", "it was unplugged", iso(90))
    with History(path) as history:
        assert list(history.spans()) == [
            Span("kitchen", "opening", "", iso(0), iso(1)),
            Span("kitchen", "listening", "", iso(1), iso(90)),
            Span("kitchen", "lost", "it was unplugged", iso(90), iso(90)),
        ]
        assert [span.state for span in history.spans(since=iso(80))] == ["listening", "lost"]


def test_a_stop_ends_a_span_and_a_start_begins_another(path: Path) -> None:
    for start in (0, 1000):
        with opened(path) as journal:
            journal.listening("kitchen", "listening", "", iso(start))
            journal.listening("kitchen", "listening", "", iso(start + 60))
    with History(path) as history:
        ends = [(span.time, span.until) for span in history.spans()]
    assert ends == [(iso(0), iso(60)), (iso(1000), iso(1060))]


def test_a_span_that_lasts_is_noted_every_five_minutes_and_not_each_minute(path: Path) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path)) as journal:
        noted: set[str] = set()
        for minute in range(11):
            journal.listening("kitchen", "listening", "", iso(minute * 60))
            with History(path) as history:
                noted.update(span.until for span in history.spans())
            clocks.pass_by(60)
    assert noted == {iso(0), iso(300), iso(600)}


@pytest.mark.parametrize("state", ["listening", "lost"])
def test_nothing_is_known_of_the_time_in_which_the_machine_slept(path: Path, state: State) -> None:
    clocks = Clocks()
    began_s = clocks.wall_s
    with closing(clocks.journal(path)) as journal:
        for _ in range(3):
            journal.listening("kitchen", "listening", "", iso(clocks.wall_s))
            clocks.pass_by(60)
        clocks.pass_by(9 * 3600)
        woke_s = clocks.wall_s
        journal.listening("kitchen", state, "", iso(woke_s))
    with History(path) as history:
        spans = [(span.time, span.until) for span in history.spans()]
    assert spans == [(iso(began_s), iso(began_s + 120)), (iso(woke_s), iso(woke_s))]


def test_a_clock_that_leaps_forward_makes_no_span_longer(path: Path) -> None:
    clocks = Clocks()
    with closing(clocks.journal(path)) as journal:
        journal.listening("kitchen", "listening", "", iso(clocks.wall_s))
        clocks.pass_by(60)
        clocks.wall_s += 7 * 3600  # a Raspberry Pi has found the time
        journal.listening("kitchen", "listening", "", iso(clocks.wall_s))
        clocks.pass_by(60)
        journal.listening("kitchen", "listening", "", iso(clocks.wall_s))
    with History(path) as history:
        spans = [(span.time, span.until) for span in history.spans()]
    now_s = clocks.wall_s
    began = iso(now_s - 7 * 3600 - 120)
    assert spans == [(began, began), (iso(now_s - 60), iso(now_s))]


def test_a_clock_that_is_set_back_makes_no_span_end_before_it_begins(path: Path) -> None:
    with opened(path) as journal:
        journal.listening("kitchen", "listening", "", iso(5000))
        journal.listening("kitchen", "lost", "", iso(10))
    with History(path) as history:
        assert [span.until for span in history.spans()] == [iso(5000), iso(10)]


def test_another_process_reads_while_the_journal_is_written(path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom affectd.daemon.publish.history import History\n"
        "with History(pathlib.Path(sys.argv[1])) as history:\n"
        "    for line in sys.stdin:\n"
        "        print(*[m.id for m in history.readings()], flush=True)\n"
    )
    with (
        opened(path) as journal,
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as reader,
    ):
        assert reader.stdin is not None
        assert reader.stdout is not None
        for count in range(1, 4):
            assert journal.add(utterance(f"{count}"))
            reader.stdin.write("read\n")
            reader.stdin.flush()
            assert reader.stdout.readline().split() == [f"{n + 1}" for n in range(count)]
        reader.stdin.close()
        assert reader.wait(10) == 0


def test_a_slow_reader_holds_nobody_up_and_sees_no_reading_twice(path: Path) -> None:
    with opened(path, rows=2000) as journal, History(path) as history:
        for number in range(1200):
            journal.add(utterance(f"{number}"))
        rows = history.readings()
        seen = [next(rows).id]
        for number in range(1200, 2600):
            assert journal.add(utterance(f"{number}"))
        seen += [message.id for message in rows]
    assert len(seen) == len(set(seen))
    assert seen[-1] == "2599"


def test_history_tells_what_is_unsent_and_the_mood_before_a_time(path: Path) -> None:
    with opened(path) as journal:
        for node, id_ in (("kitchen", "a"), ("office", "b"), ("office", "c")):
            journal.add(of(node, id_))
        journal.acknowledge(["b"])
        for name, time_s in (("calm", 10), ("sad", 20), ("happy", 30)):
            journal.mood(msgspec.structs.replace(mood(name), since=iso(time_s)))
    with History(path) as history:
        assert history.pending() == {"kitchen": 1, "office": 1}
        assert history.mood_before(iso(10), "kitchen") is None
        assert history.mood_before(iso(30), "office") is None
        before = history.mood_before(iso(30), "kitchen")
        assert before is not None
        assert before.mood == "sad"


def test_the_history_in_a_folder_that_may_not_be_entered_names_the_remedy(path: Path) -> None:
    with opened(path):
        pass
    path.parent.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65_534)
        with pytest.raises(JournalError, match=r"Permission denied.*this user may read it"):
            History(path)
    finally:
        os.seteuid(user)
        path.parent.chmod(0o700)


def test_the_history_of_no_journal_names_the_remedy(path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no journal.*`affectd run` begins one"):
        History(path)


def test_the_history_of_a_damaged_journal_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match=r"cannot be read \(file is not a database\)"):
        History(path)


def test_the_history_of_an_empty_file_is_empty(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert ids_in(path) == []
    assert path.stat().st_size == 0


# Death


def test_what_was_entered_survives_a_kill_at_any_instant(path: Path) -> None:
    random.seed(0)
    for run in range(30):
        said = killed(path, f"{run}", random.uniform(0, 0.03))
        added = [id_ for what, id_ in said if what == "added"]
        sent = {id_ for what, id_ in said if what == "acknowledged"}
        with opened(path, rows=10_000) as journal:
            unsent = pending(journal)
        here = [id_ for id_ in ids_in(path) if id_.startswith(f"{run}-")]
        assert added
        assert here[: len(added)] == added
        assert len(here) <= len(added) + 1
        assert len(set(here)) == len(here)
        assert not sent & set(unsent)
        # Of the last one nobody can say whether it was acknowledged.
        assert set(added) - sent - set(unsent) <= {added[-1]}
    assert list(path.parent.glob("*damaged*")) == []


def killed(path: Path, name: str, after_s: float) -> list[tuple[str, str]]:
    """What a process said that it did before it was killed, so long after its first word."""
    command = [sys.executable, "-c", CHILD, str(path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(after_s)
        child.kill()
        lines = (first + child.stdout.read()).rpartition("\n")[0].splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


def test_a_closed_journal_is_one_file_and_takes_nothing(path: Path) -> None:
    journal = Journal(path, 10, 1)
    journal.add(utterance("a"))
    journal.close()
    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]
    assert not journal.add(utterance("b"))
    journal.acknowledge(["a"])
    assert pending(journal) == []
    journal.close()
    assert ids_in(path) == ["a"]


# Damage


def filled(path: Path, count: int = 300) -> None:
    with opened(path) as journal:
        for number in range(count):
            journal.add(utterance(f"{number}"))


@pytest.mark.parametrize("length", [50, 99, 100, 1024, 5000, 100_000])
def test_a_journal_that_was_cut_off_is_set_aside(
    path: Path, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    content = path.read_bytes()[:length]
    path.write_bytes(content)
    with opened(path) as journal:
        assert pending(journal) == []
        assert journal.add(utterance("new"))
    assert path.with_name("journal.sqlite.damaged-1").read_bytes() == content
    assert "is kept as" in caplog.text
    assert "a new one is begun" in caplog.text


def test_damaged_journals_are_never_overwritten(path: Path) -> None:
    path.parent.mkdir()
    for number in range(3):
        path.write_bytes(f"garbage {number} ".encode() * 100)
        Path(f"{path}-wal").write_bytes(b"log")
        with opened(path) as journal:
            assert journal.add(utterance("a"))
    for number in range(3):
        aside = path.with_name(f"journal.sqlite.damaged-{number + 1}")
        assert aside.read_bytes().startswith(f"garbage {number}".encode())
        assert Path(f"{aside}-wal").read_bytes() == b"log"


def test_garbage_in_the_middle_is_found_at_the_start_after_a_kill(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    overwrite(path, 8 * 1024, os.urandom(64 * 1024))
    Path(f"{path}-wal").write_bytes(b"left by a process that was killed")
    with opened(path) as journal:
        assert "is damaged" in caplog.text
        assert journal.add(utterance("new"))
    assert ids_in(path) == ["new"]
    aside = path.with_name("journal.sqlite.damaged-1")
    assert aside.exists()
    assert Path(f"{aside}-wal").read_bytes() == b"left by a process that was killed"


def test_garbage_in_the_middle_is_found_when_it_is_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    overwrite(path, 1024 * 8, os.urandom(path.stat().st_size - 1024 * 8))
    with opened(path) as journal:
        assert pending(journal) == []
        assert journal.add(utterance("new"))
        assert pending(journal) == ["new"]
    assert ids_in(path) == ["new"]
    assert path.with_name("journal.sqlite.damaged-1").exists()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("pages", [1, 8, 40])
def test_garbage_at_the_end_is_found_at_the_start_or_when_it_is_read(
    path: Path, pages: int
) -> None:
    filled(path)
    with opened(path) as journal:
        journal.mood(mood())
        journal.listening("kitchen", "listening", "", iso(0))
    size = path.stat().st_size
    overwrite(path, size - 1024 * pages, b"\xff" * 1024 * pages)
    with opened(path) as journal:
        for number in range(1000):
            assert journal.add(utterance(f"new {number}"))
        journal.mood(mood("sad"))
        journal.listening("kitchen", "lost", "", iso(60))
        assert pending(journal)[-1] == "new 999"
    assert path.with_name("journal.sqlite.damaged-1").exists()


def test_a_reading_is_not_lost_when_damage_is_found_as_it_is_entered(path: Path) -> None:
    filled(path)
    overwrite(path, 1024 * 8, b"\xff" * (path.stat().st_size - 1024 * 8))
    with opened(path) as journal:
        assert journal.add(utterance("new"))
        assert pending(journal) == ["new"]


def test_a_log_that_is_garbage_leaves_what_was_before(path: Path) -> None:
    filled(path, 20)
    Path(f"{path}-wal").write_bytes(os.urandom(50_000))
    Path(f"{path}-shm").write_bytes(os.urandom(32_768))
    with opened(path) as journal:
        assert journal.count_pending("kitchen") == 20
        assert journal.add(utterance("new"))


# Refusals


def test_a_journal_of_a_newer_affectd_is_refused_and_left_as_it_is(path: Path) -> None:
    filled(path, 3)
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    message = r"is of version 2, and this affectd knows none above 1; install the newer"
    with pytest.raises(JournalError, match=message):
        Journal(path, 10, 1)
    with pytest.raises(JournalError, match=message):
        History(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE states (state TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"is a database of another program; set journal\.path"):
        Journal(path, 10, 1)
    assert path.read_bytes() == before


def test_a_folder_or_device_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(JournalError, match=r"is not a regular file.*set journal\.path"):
            Journal(path, 10, 1)


def test_a_place_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"\(Not a directory\).*or set journal\.path"):
        Journal(tmp_path / "file" / "journal.sqlite", 10, 1)


@pytest.mark.parametrize("before", [0, 20])
def test_a_full_disk_at_the_start_is_told_and_ends_nothing(
    path: Path, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks()
    if before:
        filled(path, before)
    with full_disk():
        journal = clocks.journal(path)
        assert not journal.add(utterance("lost"))
    assert journal.add(utterance("kept"))
    assert journal.count_pending("kitchen") == before + 1
    journal.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "cannot be used (" in caplog.text
    assert "is written again; 1 reading(s) are missing in it" in caplog.text


def test_nobody_else_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(path) as journal:
            journal.add(utterance("a"))
            modes = {file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


# Failures while it runs


def test_a_full_disk_is_told_once_and_nothing_raises(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path) as journal:
        assert journal.add(utterance("before"))
        with full_disk():
            for number in range(3):
                assert not journal.add(utterance(f"{number}"))
            journal.mood(mood())
            journal.listening("kitchen", "listening", "", iso(0))
            assert pending(journal) == ["before"]
        assert journal.add(utterance("after"))
        journal.mood(mood())
        journal.listening("kitchen", "listening", "", iso(60))
        assert pending(journal) == ["before", "after"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "readings are published all the same" in caplog.text
    assert "is written again; 3 reading(s) are missing in it" in caplog.text
    with History(path) as history:
        assert (len(list(history.moods())), len(list(history.spans()))) == (1, 1)


def test_a_disk_that_fills_in_the_middle_of_a_reading_leaves_it_whole_or_out(path: Path) -> None:
    with opened(path) as journal:
        room, entered = 20_000, []
        while room < 60_000:
            with full_disk(room):
                id_ = f"{room}"
                entered += [id_] if journal.add(utterance(id_)) else []
            room += 500
        assert pending(journal) == entered
        assert 0 < len(entered) < 80
    assert ids_in(path) == entered


def test_what_was_acknowledged_on_a_full_disk_is_not_sent_again(path: Path) -> None:
    with opened(path) as journal:
        for id_ in ("a", "b", "c"):
            journal.add(utterance(id_))
        with full_disk():
            journal.acknowledge(["b"])
            assert pending(journal) == ["a", "c"]
            assert journal.count_pending("kitchen") == 2
        journal.add(utterance("d"))
    with opened(path) as journal:
        assert pending(journal) == ["a", "c", "d"]


def test_a_journal_that_was_removed_is_begun_anew(path: Path) -> None:
    with opened(path) as journal:
        journal.add(utterance("old"))
        journal.mood(mood("calm"))
        journal.listening("kitchen", "listening", "", iso(0))
        for file in path.parent.iterdir():
            file.unlink()
        assert journal.add(utterance("new"))
        journal.mood(mood("calm"))
        journal.listening("kitchen", "listening", "", iso(60))
        assert pending(journal) == ["new"]
    assert ids_in(path) == ["new"]
    with History(path) as history:
        assert list(history.moods()) == [mood("calm")]
        assert [span.time for span in history.spans()] == [iso(60)]


def test_a_folder_that_was_removed_is_made_anew(path: Path) -> None:
    with opened(path) as journal:
        journal.add(utterance("old"))
        path.parent.rename(path.parent.with_name("away"))
        assert journal.add(utterance("new"))
    assert ids_in(path) == ["new"]
    assert ids_in(path.parent.with_name("away") / path.name) == ["old"]


def test_a_place_that_is_taken_by_something_else_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path) as journal:
        for file in path.parent.iterdir():
            file.unlink()
        path.mkdir()
        assert not journal.add(utterance("lost"))
        assert not journal.add(utterance("lost too"))
        path.rmdir()
        assert journal.add(utterance("kept"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert ids_in(path) == ["kept"]


# Many at once


def test_rooms_write_at_once_from_their_threads(path: Path) -> None:
    def live(journal: Journal, node: str) -> None:
        for number in range(100):
            assert journal.add(of(node, f"{node}-{number}"))
            if number % 2:
                journal.acknowledge([f"{node}-{number}"])
            journal.mood(msgspec.structs.replace(mood(), node=node))

    nodes = [f"room-{number}" for number in range(6)]
    failures: list[Any] = []
    hook, threading.excepthook = threading.excepthook, failures.append
    with opened(path) as journal:
        threads = [threading.Thread(target=live, args=(journal, node)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threading.excepthook = hook
        assert failures == []
        for node in nodes:
            assert pending(journal, node) == [f"{node}-{number}" for number in range(0, 100, 2)]
    assert len(ids_in(path)) == 600


def test_two_services_may_share_a_journal(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        for number in range(20):
            assert one.add(of("kitchen", f"k{number}"))
            assert other.add(of("office", f"o{number}"))
        one.acknowledge([f"k{number}" for number in range(20)])
        assert (one.count_pending("kitchen"), one.count_pending("office")) == (0, 20)


def test_the_log_in_the_disk_stays_small_whether_the_broker_is_there_or_not(path: Path) -> None:
    log = Path(f"{path}-wal")
    with opened(path, rows=100_000) as journal:
        for number in range(2 * CHECKPOINT_READINGS + 50):
            journal.add(utterance(f"there {number}"))
            journal.acknowledge([f"there {number}"])
        with_acknowledgements = log.stat().st_size
        for number in range(2500):
            journal.add(utterance(f"away {number}"))
        assert with_acknowledgements < 5e6
        assert log.stat().st_size < 9e6


def test_an_entry_made_while_another_process_writes_waits_for_it(path: Path) -> None:
    with opened(path) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done: list[bool] = []
        thread = threading.Thread(target=lambda: done.append(journal.add(utterance("a"))))
        thread.start()
        other.execute("COMMIT")
        wait_until(lambda: done, "the reading is entered")
        thread.join()
    assert done == [True]
