"""What the doctor makes of what it was told, where the real part is not everywhere."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from affectd.daemon.doctor import broker, bundle, clock, disk, journal, log, microphone, sound, unit
from affectd.daemon.doctor.case import FOLDERS, Case, case_of
from affectd.daemon.doctor.examination import exit_status
from affectd.daemon.doctor.finding import Finding, Problem, well, wrong
from affectd.daemon.doctor.holder import Holder, holders
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.settings import Settings
from tests.conftest import ROOT

MADE_S = 1.75e9
RUNNING = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "ActiveEnterTimestamp": "Wed 2026-11-25 19:00:00 UTC",
    "NRestarts": "0",
    "FragmentPath": "/etc/systemd/system/affectd.service",
    "StatusText": "listening Yeti, ALSA",
    "Result": "success",
}


def names(findings: Iterator[Finding] | list[Finding]) -> list[str]:
    return [finding.finding for finding in findings]


@contextmanager
def as_another_user() -> Iterator[None]:
    """Give up root for a while, who may look everywhere."""
    before = os.getresuid()
    if before[1] == 0:
        os.setresuid(65_534, 65_534, 0)
    try:
        yield
    finally:
        os.setresuid(*before)


def case_in(folder: Path, environment: dict[str, str] | None = None) -> Case:
    return case_of(None, {"XDG_STATE_HOME": str(folder)} | (environment or {}), 1.0, print)


def test_failures_are_status_1_and_a_wrong_configuration_status_2() -> None:
    fine, slow = well("clock", "it is now"), wrong("bundle", Problem.BUNDLE_SLOW, "slow")
    gone = wrong("broker", Problem.BROKER_UNREACHABLE, "gone")
    odd = wrong("broker", Problem.CONFIGURATION_WRONG, "odd")
    assert exit_status([fine, slow]) == 0
    assert exit_status([fine, gone]) == 1
    assert exit_status([gone, odd]) == 2


@pytest.mark.parametrize(
    ("now_s", "synchronised", "expected"),
    [
        (MADE_S + 1, True, ""),
        (MADE_S + 1, False, "clock-not-synchronised"),
        (MADE_S - 1, True, "clock-wrong"),
        (MADE_S + 31 * 365 * 86_400, True, "clock-wrong"),
        (0.0, False, "clock-wrong"),
    ],
)
def test_a_clock_must_be_later_than_the_networks_and_synchronised(
    now_s: float, synchronised: bool, expected: str
) -> None:
    assert clock.judge(now_s, MADE_S, synchronised).finding == expected


@pytest.mark.parametrize(
    ("total", "free", "expected"),
    [
        (64_000_000_000, 1_000_000_000, None),
        (64_000_000_000, 90_000_000, "disk-low"),
        (64_000_000_000, 900_000, "disk-full"),
        (50_000_000, 20_000_000, None),
        (50_000_000, 4_000_000, "disk-low"),
    ],
)
def test_a_disk_is_low_by_its_own_size(total: int, free: int, expected: str | None) -> None:
    found = disk.judge("log", Path("/run"), total, free)
    assert (found and found.finding) == expected


@pytest.mark.parametrize(
    ("inputs", "shut", "server", "expected"),
    [
        ([], [], None, "sound-absent"),
        ([], [], "PipeWire", ""),
        (["pcmC0D0c"], [], None, ""),
        (["pcmC0D0c"], ["pcmC0D0c"], None, "sound-not-permitted"),
        (["pcmC0D0c"], ["pcmC0D0c"], "PipeWire", ""),
    ],
)
def test_a_user_needs_a_card_that_may_be_opened_or_a_sound_server(
    inputs: list[str], shut: list[str], server: str | None, expected: str
) -> None:
    assert sound.judge(inputs, shut, server).finding == expected


@pytest.mark.parametrize(
    ("days", "expected"), [(None, []), (90, []), (13, ["broker-certificate-ends"])]
)
def test_a_certificate_that_ends_soon_is_told(days: int | None, expected: list[str]) -> None:
    until_s = None if days is None else MADE_S + days * 86_400
    assert names(list(broker.judge_certificate(until_s, MADE_S))) == expected


def test_a_reading_that_takes_long_for_all_nodes_is_told(classifier: Classifier) -> None:
    assert bundle.judge(classifier, 100.0, 3).finding == ""
    assert bundle.judge(classifier, 100.0, 4).finding == "bundle-slow"


CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xf7e10000 irq 31
 1 [Microphone     ]: USB-Audio - Yeti Stereo Microphone
                      Blue Microphones Yeti Stereo Microphone at usb-0000:00:14.0-1, full speed
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """What the kernel tells while process 321 has the Yeti; here is no sound card to open."""
    for place, text in {
        "asound/cards": CARDS,
        "asound/card0/pcm0c/sub0/status": "closed\n",
        "asound/card0/pcm0p/sub0/status": "state: RUNNING\nowner_pid   : 322\n",
        "asound/card1/pcm0c/info": "card: 1\ndevice: 0\nstream: CAPTURE\nname: USB Audio\n",
        "asound/card1/pcm0c/sub0/status": "state: RUNNING\nowner_pid   : 321\n",
        "321/cmdline": "/opt/affectd/bin/python\0/opt/affectd/bin/affectd\0run\0--config\0x\0",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path


def test_who_holds_an_input_is_known_from_the_kernel(proc: Path) -> None:
    label = "Yeti Stereo Microphone: USB Audio (hw:1,0), ALSA"
    program = "/opt/affectd/bin/python /opt/affectd/bin/affectd run"
    assert holders(proc) == [Holder(321, program, label)]
    (proc / "self" / "task" / "321").mkdir(parents=True)
    assert holders(proc) == []


@pytest.mark.parametrize(
    ("command", "wanted", "expected"),
    [
        ("affectd\0run\0", "yeti", "microphone-in-use"),
        ("arecord\0-D\0hw:1\0", "(hw:1,0)", "microphone-busy"),
        ("affectd\0run\0", "Jabra", "microphone-"),
    ],
)
def test_an_input_that_affectd_holds_is_no_failure(
    command: str, wanted: str, expected: str, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc / "321" / "cmdline").write_text(command)
    monkeypatch.setattr(microphone, "PROC", proc)
    (finding,) = microphone.check(case_in(proc, {"AFFECTD_AUDIO__DEVICE": wanted}))
    assert finding.finding in {expected, f"{expected}absent", f"{expected}not-found"}
    assert ("process 321" in finding.message) == (wanted != "Jabra")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_has_left_in_the_folder_of_the_service_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "affectd"
    folder.mkdir()
    for name in ("journal.sqlite", "readings.jsonl"):
        (folder / name).touch()
    case = case_in(tmp_path, {"RUNTIME_DIRECTORY": str(folder), "LOGS_DIRECTORY": str(folder)})
    os.chown(folder, 65_534, 65_534)
    findings = [*journal.check(case), *log.check(case)]
    assert names(findings) == ["file-of-root", "file-of-root"]


def test_a_unit_that_runs_is_well() -> None:
    (finding,) = unit.judge("--system", RUNNING)
    assert finding.state == "ok"
    assert "listening Yeti, ALSA" in finding.message
    assert finding.facts["restarts"] == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"UnitFileState": "disabled"}, ["unit-disabled"]),
        ({"ActiveState": "inactive", "UnitFileState": ""}, ["unit-inactive", "unit-disabled"]),
        ({"ActiveState": "failed", "Result": "exit-code"}, ["unit-failed"]),
        ({"NRestarts": "17"}, ["unit-restarts"]),
    ],
)
def test_what_is_wrong_with_a_unit_is_told(changes: dict[str, str], expected: list[str]) -> None:
    assert names(unit.judge("--system", RUNNING | changes)) == expected


def test_a_unit_without_a_sandbox_is_exposed(tmp_path: Path) -> None:
    bare = tmp_path / "affectd.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    exposed = unit.exposure("--system", str(bare))
    ours = unit.exposure("--system", str(ROOT / "systemd" / "affectd.service"))
    assert exposed is not None
    assert ours is not None
    assert exposed > 9
    assert ours < exposed
    assert names(unit.judge_exposure(exposed, 2.0)) == ["unit-exposed"]
    assert names(unit.judge_exposure(1.9, 2.0)) == [""]


@pytest.mark.parametrize(("scope", "file"), [("--system", "."), ("--user", "user")])
def test_the_units_that_come_with_affectd_are_not_exposed(scope: str, file: str) -> None:
    exposed = unit.exposure(scope, str(ROOT / "systemd" / file / "affectd.service"))
    assert exposed is not None
    assert names(unit.judge_exposure(exposed, unit.MOST_EXPOSED[scope])) == [""]


def test_the_service_of_the_system_is_known_by_its_configuration() -> None:
    settings = Settings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affectd.daemon.configuration.load", lambda *_: settings)
        case = case_of(Path("/etc/affectd/affectd.yaml"), {"HOME": "/none"}, 1.0, print)
        assert FOLDERS.items() <= case.environment.items()
        own = case_of(Path("/home/anna/affectd.yaml"), {"XDG_STATE_HOME": "/"}, 1.0, print)
        assert not FOLDERS.keys() & own.environment.keys()


def test_a_microphone_whose_pause_cannot_be_seen_stays_shut(tmp_path: Path) -> None:
    (tmp_path / "affectd").mkdir(mode=0o000)
    case = case_in(tmp_path)
    with as_another_user():
        findings = list(microphone.check(case))
    assert names(findings) == ["not-permitted"]


def test_what_belongs_to_another_user_is_no_failure(tmp_path: Path) -> None:
    shut = tmp_path / "affectd"
    shut.mkdir(mode=0o000)
    case = case_in(tmp_path, dict.fromkeys(FOLDERS, str(shut)))
    with as_another_user():
        findings = [*journal.check(case), *log.check(case)]
    assert names(findings) == ["not-permitted", "not-permitted"]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("is_of_system", [True, False])
def test_a_log_that_only_the_service_may_write_is_no_failure_of_another_user(
    exists: bool, is_of_system: bool
) -> None:
    names_told = FOLDERS if is_of_system else ["RUNTIME_DIRECTORY"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if exists:
            (Path(folder) / "readings.jsonl").touch(mode=0o644)
        case = case_in(Path(folder), dict.fromkeys(names_told, folder))
        with as_another_user():
            findings = list(log.check(case))
    assert names(findings) == ["not-permitted" if is_of_system else "log-unusable"]


def test_a_credential_of_the_service_is_no_failure_of_another_user(tmp_path: Path) -> None:
    secret = tmp_path / "mqtt_password"
    secret.write_text("hunter2")
    secret.chmod(0o000)
    case = case_in(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    with as_another_user():
        findings = list(broker.check(case))
    assert names(findings) == ["not-permitted"]
    assert "hunter2" not in msgspec.json.encode(findings).decode()
