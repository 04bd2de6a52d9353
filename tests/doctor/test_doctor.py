"""`affectd doctor` beside real parts that are well, and real parts that are not."""

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon import schemas
from affectd.daemon.capture.portaudio import devices
from affectd.daemon.doctor import CHECKS
from affectd.daemon.doctor.case import case_of
from affectd.daemon.doctor.examination import bounded
from affectd.daemon.doctor.finding import Problem
from affectd.daemon.publish.journal import Journal
from tests.bundles import copy
from tests.certificates import make_authority
from tests.conftest import (
    AFFECTD,
    ROOT,
    SOUND_SERVERS,
    Listener,
    Mosquitto,
    SoundServer,
    free_port,
    lines_of,
    run_affectd,
    wait_until,
)
from tests.publish.samples import utterance
from tests.test_end_to_end import Running

Finding = dict[str, Any]


class Doctor:
    """The command for a home of its own, with keys of the configuration in the environment."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.home = home
        (home / "affectd").mkdir(parents=True)
        self.environment = {
            **(environment or os.environ | {"XDG_RUNTIME_DIR": str(home)}),
            "XDG_CONFIG_HOME": str(home),
            "XDG_STATE_HOME": str(home),
        }

    def set(self, **keys: object) -> None:
        """Set keys, by their path joined by two underscores."""
        self.environment |= {f"AFFECTD_{key.upper()}": str(value) for key, value in keys.items()}

    def __call__(self, *words: object) -> list[Finding]:
        """What is found."""
        return self.run(*words)[1]

    def run(self, *words: object) -> tuple[int, list[Finding]]:
        """Exit status, and what is found; each line is as the schema says."""
        done = run_affectd("doctor", "--json", *words, environment=self.environment)
        assert "Traceback" not in done.stderr
        findings = lines_of(done.stdout)
        for finding in findings:
            jsonschema.validate(finding, schemas.schema("doctor"))
        return done.returncode, findings


def names(findings: list[Finding]) -> set[str]:
    """The names of all that is not well."""
    return {finding["finding"] for finding in findings} - {""}


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path / "home")


@pytest.fixture
def hearing(sound_server: SoundServer, tmp_path: Path) -> Doctor:
    """For one whose sound server is the virtual one."""
    return Doctor(tmp_path / "home", sound_server.environment)


# The command


def test_every_check_is_made_and_nothing_fails_where_all_is_well(
    hearing: Doctor, sound_server: SoundServer, mosquitto: Mosquitto, speech: NDArray[np.int16]
) -> None:
    sound_server.play(speech)
    hearing.set(mqtt__host="127.0.0.1", mqtt__port=mosquitto.port)
    status, findings = hearing.run()
    assert {finding["check"] for finding in findings} == set(CHECKS)
    assert [f for f in findings if f["state"] == "failed"] == []
    assert status == 0


def test_a_failure_is_status_1_and_has_a_remedy(doctor: Doctor) -> None:
    doctor.set(mqtt__port=free_port())
    status, (finding,) = doctor.run("--only", "broker")
    assert status == 1
    assert finding["state"] == "failed"
    assert finding["remedy"]


@pytest.mark.parametrize("text", ["nodes: kitchen", "node: [", "audio: {channel: 0}"])
def test_a_wrong_configuration_is_status_2_and_says_what_is_wrong(
    text: str, doctor: Doctor, tmp_path: Path
) -> None:
    path = tmp_path / "affectd.yaml"
    path.write_text(text)
    status, (finding,) = doctor.run("--config", path)
    assert status == 2
    assert finding["finding"] == "configuration-wrong"
    assert str(path) in finding["message"]


@pytest.mark.parametrize("words", [["--listen", "0"], ["--listen", "soon"], ["--only", "weather"]])
def test_wrong_usage_is_status_2(words: list[str], doctor: Doctor) -> None:
    done = run_affectd("doctor", *words, environment=doctor.environment)
    assert done.returncode == 2
    assert "usage: affectd doctor" in done.stderr


def test_overrides_of_the_environment_are_named(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "affectd.yaml"
    path.write_text("node: kitchen")
    doctor.set(mqtt__host="broker.lan")
    (finding,) = doctor("--config", path, "--only", "configuration")
    assert finding["facts"] == {
        "file": str(path),
        "nodes": ["kitchen"],
        "overrides": ["AFFECTD_MQTT__HOST"],
    }
    assert "AFFECTD_MQTT__HOST" in finding["message"]


def test_people_see_mark_name_and_remedy_without_colours_in_a_file(doctor: Doctor) -> None:
    doctor.set(mqtt__port=free_port())
    done = run_affectd("doctor", "--only", "broker", environment=doctor.environment)
    head, remedy, summary = done.stdout.splitlines()
    assert head.startswith("✗ broker ")
    assert head.endswith("[broker-unreachable]")
    assert remedy.strip().startswith("> check mqtt.host and mqtt.port")
    assert "1 failed; docs/troubleshooting.md" in summary
    assert "\033" not in done.stdout + done.stderr


def test_a_terminal_that_knows_no_marks_gets_letters(doctor: Doctor) -> None:
    doctor.set(mqtt__port=free_port())
    environment = doctor.environment | {"PYTHONIOENCODING": "ascii"}
    done = run_affectd("doctor", "--only", "broker", environment=environment)
    assert done.stdout.startswith("x broker ")


def test_a_terminal_gets_colours_and_progress(doctor: Doctor) -> None:
    shown = on_a_terminal(doctor.environment, "--only", "versions")
    assert "\033[32m✓\033[0m versions" in shown
    assert "looking at versions …" in shown
    assert "\033[32m" not in on_a_terminal(doctor.environment | {"NO_COLOR": "1"}, "--only", "log")


def on_a_terminal(environment: dict[str, str], *words: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [*AFFECTD, "doctor", *words]
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()


# The microphone


@pytest.mark.parametrize("sound_server", SOUND_SERVERS, indirect=True)
def test_a_good_microphone_is_well(
    hearing: Doctor, sound_server: SoundServer, speech: NDArray[np.int16]
) -> None:
    sound_server.play(speech)
    (finding,) = hearing("--only", "microphone")
    assert finding["state"] == "ok"
    assert finding["facts"]["rate_hz"] == 16_000
    assert finding["facts"]["seconds"] >= 3.5
    assert finding["facts"]["speech_dbfs"] > -45


def test_a_silent_microphone_is_told(hearing: Doctor, sound_server: SoundServer) -> None:
    sound_server.play(np.zeros(60 * 16_000, np.int16))
    status, findings = hearing.run("--only", "microphone", "--listen", "1")
    assert (status, names(findings)) == (1, {"microphone-silent"})


def test_a_microphone_that_clips_is_told(
    hearing: Doctor, sound_server: SoundServer, speech: NDArray[np.int16]
) -> None:
    loud = (speech.astype(np.int32) * 30).clip(-32768, 32767).astype(np.int16)
    sound_server.play(loud)
    status, findings = hearing.run("--only", "microphone")
    assert status == 0
    assert "microphone-clips" in names(findings)


def test_a_microphone_that_delivers_nothing_is_told(hearing: Doctor) -> None:
    assert names(hearing("--only", "microphone", "--listen", "1")) == {"microphone-deaf"}


def test_a_sound_system_that_crashes_takes_nothing_with_it(doctor: Doctor) -> None:
    doctor.environment["ALSA_CONFIG_PATH"] = "/dev/null"  # with which PortAudio aborts
    status, findings = doctor.run("--only", "microphone", "log")
    assert status == 1
    assert [(f["check"], f["finding"]) for f in findings] == [
        ("microphone", "check-crashes"),
        ("log", ""),
    ]


@pytest.mark.skipif(bool(devices()), reason="this machine has a microphone")
def test_a_machine_without_a_microphone_is_told(doctor: Doctor) -> None:
    doctor.environment["HOME"] = str(doctor.home)
    assert names(doctor("--only", "microphone")) == {"microphone-absent"}


def test_a_microphone_of_another_name_is_told_with_those_that_are_there(hearing: Doctor) -> None:
    hearing.set(audio__device="no such thing")
    (finding,) = hearing("--only", "microphone")
    assert finding["finding"] == "microphone-not-found"
    assert "'default, ALSA'" in finding["message"]


def test_a_channel_that_it_lacks_is_told(hearing: Doctor) -> None:
    hearing.set(audio__channel=64)
    assert names(hearing("--only", "microphone")) == {"microphone-unusable"}


def test_a_frozen_sound_server_holds_nothing_up(hearing: Doctor, sound_server: SoundServer) -> None:
    sound_server.play(np.zeros(480, np.int16))
    sound_server.freeze()
    status, findings = hearing.run("--only", "microphone", "clock")
    assert status == 1
    assert "sound-server-hangs" in names(findings)


def test_each_room_is_heard(
    hearing: Doctor, sound_server: SoundServer, tmp_path: Path, speech: NDArray[np.int16]
) -> None:
    with (Path(sound_server.environment["HOME"]) / ".asoundrc").open("a") as more:
        more.write("pcm.kitchen { type pulse device mic }\npcm.study { type pulse device mic }\n")
    path = tmp_path / "affectd.yaml"
    rooms = [{"node": "study", "device": "study, ALSA"}, {"node": "hall", "device": "no hall"}]
    path.write_text(json.dumps({"audio": {"device": "kitchen, ALSA"}, "rooms": rooms}))
    sound_server.play(speech)
    findings = hearing("--config", path, "--only", "microphone")
    told = {finding["facts"]["node"]: finding["finding"] for finding in findings}
    assert told == {"home": "", "study": "", "hall": "microphone-not-found"}
    assert all(f["message"].startswith(f"{f['facts']['node']}: ") for f in findings)


def test_a_paused_microphone_is_not_opened(hearing: Doctor, sound_server: SoundServer) -> None:
    sound_server.play(np.zeros(480, np.int16))
    (hearing.home / "affectd" / "paused-home").touch()
    heard: list[str] = []
    command = [*AFFECTD, "doctor", "--json", "--only", "microphone"]
    with subprocess.Popen(command, env=hearing.environment, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            heard.append(sound_server.recordings())
        assert process.stdout is not None
        (finding,) = lines_of(process.stdout.read().decode())
    assert finding["finding"] == "microphone-paused"
    assert len(heard) > 1
    assert set(heard) == {""}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_even_while_the_sound_server_hangs(
    number: signal.Signals, hearing: Doctor, sound_server: SoundServer
) -> None:
    sound_server.play(np.zeros(480, np.int16))
    sound_server.freeze()
    command = [*AFFECTD, "doctor", "--only", "configuration", "microphone"]
    with subprocess.Popen(
        command, env=hearing.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        began_s = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stdout.read() == b"", "what it has started lives on"
        assert time.monotonic() - began_s < 5
        assert b"Traceback" not in process.stderr.read()


# The broker


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_that_takes_all_is_well(
    version: str, doctor: Doctor, mosquitto: Mosquitto
) -> None:
    doctor.set(mqtt__host="127.0.0.1", mqtt__port=mosquitto.port, mqtt__version=version)
    status, findings = doctor.run("--only", "broker")
    assert (status, names(findings)) == (0, set())
    assert len(findings) == 2


def test_an_absent_broker_is_told(doctor: Doctor) -> None:
    doctor.set(mqtt__host="127.0.0.1", mqtt__port=free_port())
    findings = doctor("--only", "broker", "home-assistant")
    assert names(findings) == {"broker-unreachable", "home-assistant-unknown"}


def test_a_host_without_an_address_is_told(doctor: Doctor) -> None:
    doctor.set(mqtt__host="no-such-broker.invalid")
    assert names(doctor("--only", "broker")) == {"broker-unresolvable"}


def test_what_is_no_broker_is_told(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        doctor.set(mqtt__host="127.0.0.1", mqtt__port=mute.getsockname()[1])
        assert names(doctor("--only", "broker")) == {"broker-no-answer"}


def test_a_wrong_password_is_told(doctor: Doctor, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", passwords, "kitchen", "right"], check=True)
    broker = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    (tmp_path / "password").write_text("wrong")
    doctor.set(mqtt__host="127.0.0.1", mqtt__port=broker.port, mqtt__username="kitchen")
    doctor.set(mqtt__password_file=tmp_path / "password")
    (finding,) = doctor("--only", "broker")
    broker.stop()
    assert finding["finding"] == "broker-refuses"
    assert "mqtt.password_file" in finding["message"]
    assert "wrong" not in json.dumps(finding)


def test_a_password_that_cannot_be_read_is_a_wrong_configuration(doctor: Doctor) -> None:
    doctor.set(mqtt__username="kitchen", mqtt__password_file="/nonexistent")
    status, findings = doctor.run("--only", "broker")
    assert (status, names(findings)) == (2, {"configuration-wrong"})


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the example's access list, and one user, kitchen, with the password kitchen."""
    passwords = tmp_path / "passwords"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", passwords, "kitchen", "kitchen"], check=True)
    (tmp_path / "password").write_text("kitchen")
    rules = ROOT / "config" / "examples" / "mosquitto" / "affectd.acl"
    extra = f"allow_anonymous false\npassword_file {passwords}\nacl_file {rules}"
    broker = Mosquitto(tmp_path, extra)
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.parametrize(
    ("node", "version", "expected"),
    [
        ("kitchen", "5", set()),
        ("hall", "5", {"broker-publish-refused"}),
        ("kitchen", "3.1.1", {"broker-unverified"}),
        ("hall", "3.1.1", {"broker-unverified"}),
    ],
)
def test_what_an_access_list_refuses_is_told(
    node: str,
    version: str,
    expected: set[str],
    doctor: Doctor,
    guarded: Mosquitto,
    tmp_path: Path,
) -> None:
    doctor.set(node=node, mqtt__host="127.0.0.1", mqtt__port=guarded.port, mqtt__version=version)
    doctor.set(mqtt__username="kitchen", mqtt__password_file=tmp_path / "password")
    findings = doctor("--only", "broker")
    assert names(findings) == expected
    if expected:
        assert f"affectd/{node}/doctor" in findings[-1]["message"]


def test_a_retained_command_is_told(doctor: Doctor, mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    topic = "affectd/home/listening/set"
    listener.client.publish(topic, b"OFF", 1, retain=True).wait_for_publish(10)
    listener.close()
    doctor.set(mqtt__host="127.0.0.1", mqtt__port=mosquitto.port)
    findings = doctor("--only", "broker")
    assert names(findings) == {"broker-retained-command"}
    assert findings[-1]["facts"]["topic"] == topic


def test_a_certificate_of_another_authority_is_told(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()
    right, wrong = make_authority(tmp_path / "right"), make_authority(tmp_path / "wrong")
    files = f"certfile {right}/server.crt\nkeyfile {right}/server.key"
    broker = Mosquitto(tmp_path, f"allow_anonymous true\n{files}")
    broker.start()
    doctor.set(mqtt__port=broker.port, mqtt__tls="true")
    found = {}
    for name, authority in (("right", right), ("wrong", wrong)):
        doctor.set(mqtt__ca_file=authority / "ca.crt")
        found[name] = names(doctor("--only", "broker"))
    broker.stop()
    # The right one is made for two days.
    assert found == {"right": {"broker-certificate-ends"}, "wrong": {"broker-untrusted"}}


def test_home_assistant_is_seen_by_what_is_retained(doctor: Doctor, mosquitto: Mosquitto) -> None:
    doctor.set(mqtt__host="127.0.0.1", mqtt__port=mosquitto.port)
    words = ("--only", "home-assistant")
    assert names(doctor(*words)) == {"home-assistant-not-seen", "home-assistant-not-announced"}
    listener = Listener(mosquitto.port)
    for topic, payload in (("status", b"online"), ("device/affectd_home/config", b"{}")):
        sent = listener.client.publish(f"homeassistant/{topic}", payload, 1, retain=True)
        sent.wait_for_publish(10)
    assert names(doctor(*words)) == set()
    sent = listener.client.publish("homeassistant/status", b"offline", 1, retain=True)
    sent.wait_for_publish(10)
    listener.close()
    assert names(doctor(*words)) == {"home-assistant-offline"}
    doctor.set(home_assistant__discovery="off")
    assert names(doctor(*words)) == {"home-assistant-off"}


# What is kept


def test_a_broken_bundle_is_told(doctor: Doctor, tmp_path: Path) -> None:
    folder = copy(tmp_path / "bundle")
    (folder / "cnn.tflite").write_bytes(b"broken")
    doctor.set(emotion__bundle=folder)
    (finding,) = doctor("--only", "bundle")
    assert finding["finding"] == "bundle-broken"
    assert str(folder / "cnn.tflite") in finding["message"]


def test_a_whole_bundle_is_named_and_timed(doctor: Doctor) -> None:
    (finding,) = doctor("--only", "bundle")
    assert finding["facts"]["created"].startswith("20")
    assert finding["facts"]["latency_ms"] > 0


def journal_of(doctor: Doctor, readings: int) -> Path:
    """A journal with readings that no broker has, where the doctor looks for it."""
    path = doctor.home / "affectd" / "journal.sqlite"
    journal = Journal(path, 1000, 90)
    for number in range(readings):
        journal.add(utterance(str(number)))
    journal.close()
    return path


def test_a_journal_is_counted(doctor: Doctor) -> None:
    path = journal_of(doctor, 3)
    before = path.read_bytes()
    (finding,) = doctor("--only", "journal")
    assert finding["state"] == "ok"
    assert finding["facts"]["readings"] == 3
    assert sum(finding["facts"]["pending"].values()) == 3
    assert path.read_bytes() == before


def test_many_readings_that_wait_are_told(doctor: Doctor) -> None:
    journal_of(doctor, 101)
    assert names(doctor("--only", "journal")) == {"journal-pending"}


def test_a_damaged_journal_is_told_and_left_alone(doctor: Doctor) -> None:
    path = journal_of(doctor, 100)
    content = bytearray(path.read_bytes())
    content[1024:] = b"\xff" * (len(content) - 1024)
    path.write_bytes(content)
    status, findings = doctor.run("--only", "journal")
    assert (status, names(findings)) == (1, {"journal-damaged"})
    assert path.read_bytes() == content


def test_one_that_was_set_aside_is_told(doctor: Doctor) -> None:
    path = journal_of(doctor, 1)
    path.rename(f"{path}.damaged-1")
    assert names(doctor("--only", "journal")) == {"journal-set-aside"}


def test_a_database_of_another_program_is_told(doctor: Doctor) -> None:
    path = doctor.home / "affectd" / "journal.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE birds (name)")
    other.close()
    assert names(doctor("--only", "journal")) == {"journal-unusable"}


def test_no_journal_and_no_log_yet_is_well(doctor: Doctor) -> None:
    assert names(doctor("--only", "journal", "log")) == set()


def test_impossible_places_are_told(doctor: Doctor) -> None:
    doctor.set(journal__path="/dev/null/journal", log__path="/dev/null/readings")
    assert names(doctor("--only", "journal", "log")) == {"journal-unusable", "log-unusable"}


def test_a_log_in_memory_is_known(doctor: Doctor) -> None:
    doctor.set(log__path="/dev/shm/affectd-doctor/readings.jsonl")
    (finding,) = doctor("--only", "log")
    assert finding["facts"]["in_memory"] is True
    doctor.set(log__path=ROOT / "readings.jsonl")
    (finding,) = doctor("--only", "log")
    assert finding["facts"]["in_memory"] is False


def test_a_full_disk_is_told(doctor: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    doctor.set(log__path=folder / "readings.jsonl")
    command = [*AFFECTD, "doctor", "--json", "--only", "log"]
    fill = f"mount -t tmpfs -o size=2m none {folder} && head -c 1900000 /dev/zero > {folder}/a"
    done = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            f'{fill} && exec "$@"',
            "-",
            *command,
        ],
        env=doctor.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert names(lines_of(done.stdout)) == {"disk-full"}, done.stderr
    assert done.returncode == 1


# Beside others


def test_a_running_service_is_not_disturbed(
    sound_server: SoundServer,
    mosquitto: Mosquitto,
    listener: Listener,
    tmp_path: Path,
    speech: NDArray[np.int16],
) -> None:
    sound_server.play(speech)
    service = Running(sound_server, tmp_path, mqtt__port=mosquitto.port)
    wait_until(lambda: listener.on("affectd/kitchen/utterance"), "a reading", 60)
    doctor = Doctor(tmp_path / "home", sound_server.environment)
    doctor.set(node="kitchen", mqtt__port=mosquitto.port)
    status, findings = doctor.run("--listen", "1")
    told = {message.topic: message for message in listener.messages}
    assert status == 0, findings
    assert listener.on("affectd/kitchen/status") == [b"online"]
    health = json.loads(listener.on("affectd/kitchen/health")[-1])
    assert health["listening"] == "listening"
    assert health["gaps"] == 0
    assert "affectd/kitchen/command/result" not in told
    assert not told.pop("affectd/kitchen/doctor").retained
    assert set(told) <= {
        f"affectd/kitchen/{name}"
        for name in ("status", "utterance", "mood", "speech", "health", "listening")
    }
    assert service.stop() == 0
    assert "not obeyed" not in service.said
    assert "went away" not in service.said


def test_a_check_that_hangs_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mqtt = {"AFFECTD_MQTT__HOST": "127.0.0.1", "AFFECTD_MQTT__PORT": str(mute.getsockname()[1])}
        case = case_of(None, {"XDG_STATE_HOME": str(tmp_path), **mqtt}, 1.0, print)
        (finding,) = bounded("broker", case, 0.5)
    assert finding.finding == Problem.CHECK_HANGS.slug


def test_a_check_that_lacks_a_part_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "affectd.daemon.doctor.clock", None)
    case = case_of(None, {"XDG_STATE_HOME": str(tmp_path)}, 1.0, print)
    (finding,) = bounded("clock", case, 60.0)
    assert finding.finding == Problem.CHECK_FAILS.slug
    assert "ModuleNotFoundError" in finding.message
