import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from affectd import __version__
from affectd.daemon import schemas
from affectd.daemon.capture.portaudio import devices
from affectd.daemon.cli import main
from tests.bundles import gated
from tests.conftest import AFFECTD, DEMO, free_port, lines_of, run_affectd, wait_until


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of this machine's user is read, and nothing of theirs is written."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"affectd {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "run",
        "demo",
        "analyze",
        "doctor",
        "report",
        "devices",
        "voice",
        "voice reset",
        "config",
        "install",
        "uninstall",
        "train",
        "train demo",
        "train gate",
        "export",
    ],
)
def test_every_command_explains_itself(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*words.split(), "--help"])
    assert "usage: affectd" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["sing"], ["analyze"], ["voice"], ["run", "--broker", "other"]]
)
def test_wrong_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "usage: affectd" in capsys.readouterr().err


def test_analyze_prints_a_line_for_each_utterance(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(DEMO)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 8
    assert all(line.startswith(str(DEMO)) and " s  " in line for line in lines)


def test_analyze_as_json_prints_objects_and_nothing_else() -> None:
    done = run_affectd("analyze", "--json", DEMO)
    found = lines_of(done.stdout)
    assert len(found) >= 8
    assert found[0]["file"] == str(DEMO)
    assert {"start_s", "duration_s", "emotion", "probabilities", "set"} <= found[0].keys()


def test_each_file_that_is_analyzed_is_a_voice_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__BUNDLE", str(gated(tmp_path / "bundle", threshold=0.0)))
    assert main(["analyze", "--json", str(DEMO), str(DEMO)]) == 0
    found = lines_of(capsys.readouterr().out)
    half = len(found) // 2
    assert [line["voice_utterances"] for line in found] == [*range(half), *range(half)]
    assert [line["probabilities"] for line in found[:half]] == [
        line["probabilities"] for line in found[half:]
    ]


def test_a_voice_that_shall_not_adapt_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__ADAPT", "false")
    assert main(["analyze", "--json", str(DEMO)]) == 0
    found = lines_of(capsys.readouterr().out)
    assert {line["voice_utterances"] for line in found} == {0}


def test_analyze_names_what_it_cannot_read_and_reads_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["analyze", str(tmp_path / "none.wav"), str(DEMO)]) == 1
    assert len(capsys.readouterr().out.splitlines()) >= 8
    assert "none.wav cannot be read: No such file" in caplog.text


def test_analyze_ends_well_when_its_reader_has_seen_enough() -> None:
    analyze = subprocess.Popen(
        [*AFFECTD, "analyze", "--json", *[str(DEMO)] * 20],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert analyze.stdout is not None
    assert analyze.stderr is not None
    analyze.stdout.readline()
    analyze.stdout.close()
    assert b"Traceback" not in analyze.stderr.read()
    analyze.stderr.close()
    assert analyze.wait(60) == 0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "holds no samples"),
        (np.full(16_000, np.nan, np.float32), "a sample that is not a finite number at 0.00 s"),
    ],
)
def test_a_bad_recording_is_one_sentence_and_status_1(
    samples: NDArray[np.float32], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    for words in (["analyze", path], ["run", "--fast", "--broker", "embedded", "--input", path]):
        done = run_affectd(
            *words, environment=os.environ | {"AFFECTD_MQTT__PORT": str(free_port())}
        )
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run_affectd("demo", "--fast")


@pytest.fixture(scope="module")
def demo_messages() -> list[dict[str, Any]]:
    """What `affectd demo --json` prints."""
    return lines_of(run_affectd("demo", "--fast", "--json").stdout)


def test_the_demo_shows_every_reading_beside_what_was_acted(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0
    assert "Traceback" not in demo.stderr
    spoken = json.loads((DEMO.parent / "recording.json").read_text())
    shown = re.findall(r"^    acted: (.*)$", demo.stdout, re.MULTILINE)
    assert shown == [f"{one['emotion']} ({one['voice']})" for one in spoken]
    assert demo.stdout.count("    surprised ") == len(spoken) == 12


def test_the_demo_counts_its_readings_in_the_end(demo: subprocess.CompletedProcess[str]) -> None:
    read = re.findall(r"^\d\d:\d\d:\d\d  (\w+)", demo.stdout, re.MULTILINE)
    acted = re.findall(r"^    acted: (\w+)", demo.stdout, re.MULTILINE)
    right = sum(one == other for one, other in zip(read, acted, strict=True))
    unknown = read.count("unknown")
    wrong = 12 - right - unknown
    assert f"\n{right} of 12 read as acted, {unknown} unknown, {wrong} wrong.\n" in demo.stdout
    assert "Expect less in your own room" in demo.stdout.partition("wrong.")[2]


def test_the_demo_says_where_its_clips_are_from_and_that_voices_were_heard_before(
    demo: subprocess.CompletedProcess[str],
) -> None:
    intro = demo.stdout.partition("acted:")[0]
    assert "CREMA-D (ODbL 1.0, DbCL 1.0;" in intro
    assert re.search(r"The node has heard \d+ other utterances of these voices before", intro)


def test_the_demo_as_json_prints_what_the_schema_says_and_nothing_else(
    demo_messages: list[dict[str, Any]],
) -> None:
    assert len(demo_messages) == 12
    for message in demo_messages:
        jsonschema.validate(message, schemas.schema("utterance"))


def test_the_node_of_the_demo_has_heard_its_voices_before_the_first_reading(
    demo_messages: list[dict[str, Any]],
) -> None:
    assert demo_messages[0]["voice_utterances"] > 0


def test_the_demo_recordings_have_their_attribution_beside_them() -> None:
    text = (DEMO.parent / "ATTRIBUTION.md").read_text()
    assert "https://doi.org/10.1109/TAFFC.2014.2336244" in text
    assert "Open Database License" in text
    assert "Database Contents License" in text
    for clip in json.loads((DEMO.parent / "recording.json").read_text()):
        assert clip["clip"] in text


@pytest.mark.skipif(bool(devices()), reason="this machine has a microphone")
def test_a_machine_without_a_microphone_is_told_so() -> None:
    for words in (["devices"], ["devices", "--json"]):
        done = run_affectd(*words)
        assert done.returncode == 1
        assert done.stderr.count("no microphone was found; plug one in") == 1
        assert "Traceback" not in done.stderr


def test_show_prints_the_configuration_with_overrides(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_MQTT__HOST", "broker.lan")
    assert main(["config", "show"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["mqtt"]["host"] == "broker.lan"


def test_show_as_json_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json"]) == 0
    (shown,) = lines_of(capsys.readouterr().out)
    jsonschema.validate(shown, schemas.schema("affectd"))


def test_the_password_is_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("hunter2")
    monkeypatch.setenv("AFFECTD_MQTT__USERNAME", "anna")
    monkeypatch.setenv("AFFECTD_MQTT__PASSWORD_FILE", str(tmp_path / "password"))
    assert main(["config", "show"]) == main(["config", "check"]) == 0
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("node: kitchen", 0, "is fine"),
        ("nodes: kitchen", 2, "nodes is not a known key; did you mean node?"),
        ("mqtt: {username: a, password_file: /none}", 2, "mqtt.password_file is /none, which"),
        ("mqtt: {tls: true, ca_file: /none}", 2, "mqtt.ca_file is /none, which cannot be used"),
        ("emotion: {bundle: /none}", 1, "/none/bundle.json cannot be read"),
    ],
)
def test_check_says_whether_the_configuration_is_fine(
    text: str, status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "affectd.yaml"
    path.write_text(text)
    assert main(["config", "check", "--config", str(path)]) == status
    shown = capsys.readouterr()
    assert message in shown.out + shown.err


def test_fast_without_a_recording_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--fast"]) == 2
    assert "--fast is for recordings" in capsys.readouterr().err


def test_a_log_in_an_impossible_place_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    environment = os.environ | {
        "AFFECTD_LOG__PATH": "/proc/readings.jsonl",
        "AFFECTD_MQTT__PORT": str(free_port()),
    }
    words = ["run", "--fast", "--broker", "embedded", "--input", DEMO]
    done = run_affectd(*words, environment=environment)
    assert done.returncode == 1
    assert "/proc/readings.jsonl cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_the_log_does_not_stop_the_service() -> None:
    environment = os.environ | {
        "AFFECTD_LOG__PATH": "/dev/full",
        "AFFECTD_MQTT__PORT": str(free_port()),
    }
    words = ["run", "--fast", "--broker", "embedded", "--input", DEMO]
    done = run_affectd(*words, environment=environment)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) >= 8
    assert done.stderr.count("/dev/full cannot be written (No space left on device)") == 1


def test_sigterm_ends_a_recording_with_status_0(tmp_path: Path) -> None:
    log = tmp_path / "readings.jsonl"
    environment = os.environ | {
        "AFFECTD_LOG__PATH": str(log),
        "AFFECTD_MQTT__PORT": str(free_port()),
    }
    service = subprocess.Popen(
        [*AFFECTD, "run", "--broker", "embedded", "--input", str(DEMO)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: log.exists() and '"event":"utterance"' in log.read_text(), "a reading")
    service.send_signal(signal.SIGTERM)
    out, err = service.communicate(timeout=20)
    assert service.returncode == 0
    assert len(out.splitlines()) >= 1
    assert "Traceback" not in err


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a service in the kitchen that takes all it hears for speech; its log."""
    log = tmp_path / "readings.jsonl"
    values = {
        "NODE": "kitchen",
        "LOG__PATH": log,
        "MQTT__PORT": free_port(),
        "EMOTION__BUNDLE": gated(tmp_path / "bundle", threshold=0.0),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AFFECTD_{name}", str(value))
    return log


def known_before(log: Path) -> list[int]:
    """How many utterances the voice knew before each reading in a log."""
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [event["voice_utterances"] for event in events if event["event"] == "utterance"]


def shown_voice(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["voice", "show", "--json"]) == 0
    (shown,) = lines_of(capsys.readouterr().out)
    return shown


def test_a_restarted_service_knows_the_voice_it_heard_before(
    service: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        words = ["run", "--fast", "--broker", "embedded", "--input", DEMO]
        assert run_affectd(*words).returncode == 0
    known = known_before(service)
    assert known == list(range(len(known)))
    shown = shown_voice(capsys)
    assert shown["utterances"] == len(known) >= 16
    assert shown["file"] == str(tmp_path / "home" / "affectd" / "voice-kitchen.json")


def test_the_seconds_that_a_voice_shows_are_those_that_were_spoken(
    service: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_affectd("run", "--fast", "--broker", "embedded", "--input", DEMO).returncode == 0
    events = [json.loads(line) for line in service.read_text().splitlines()]
    spoken_s = [event["duration_s"] for event in events if event["event"] == "utterance"]
    # An utterance's last window ends before it, and its last encoder frame after it.
    shown_s = shown_voice(capsys)["speech_s"]
    assert shown_s == pytest.approx(sum(spoken_s), abs=0.05 * len(spoken_s))


def test_a_reset_reaches_a_running_service(
    service: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*AFFECTD, "run", "--broker", "embedded", "--input", str(DEMO)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: known_before(service) == [0, 1], "two readings")
    assert main(["voice", "reset"]) == 0
    assert "a running affectd starts anew with its next utterance" in capsys.readouterr().out
    wait_until(lambda: len(known_before(service)) > 2, "another reading")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert known_before(service)[2] == 0
    assert shown_voice(capsys)["utterances"] == len(known_before(service)) - 2


def test_a_service_that_shall_not_adapt_keeps_no_voice(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__ADAPT", "false")
    assert run_affectd("run", "--fast", "--broker", "embedded", "--input", DEMO).returncode == 0
    assert set(known_before(service)) == {0}
    assert not list(tmp_path.rglob("voice-*.json"))


def test_a_voice_that_cannot_be_kept_does_not_stop_the_service(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__VOICE_FOLDER", "/proc/affectd")
    done = run_affectd("run", "--fast", "--broker", "embedded", "--input", DEMO)
    assert done.returncode == 0
    assert done.stderr.count("the voice cannot be kept in /proc/affectd/voice-kitchen.json") == 1
    assert known_before(service)[-1] >= 7


def test_a_voice_is_shown_to_people_and_forgotten(
    service: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["voice", "show"]) == main(["voice", "reset"]) == 0
    out = capsys.readouterr().out
    assert "there is no voice in" in out
    assert "nothing to forget" in out
    assert run_affectd("run", "--fast", "--broker", "embedded", "--input", DEMO).returncode == 0
    assert main(["voice", "show"]) == 0
    assert "s of speech make" in capsys.readouterr().out
    assert main(["voice", "reset"]) == 0
    assert "is forgotten" in capsys.readouterr().out
    assert shown_voice(capsys) | {"file": ""} == {
        "file": "",
        "utterances": 0,
        "speech_s": 0.0,
        "share": 0.0,
        "updated": None,
    }


def test_a_damaged_voice_is_one_sentence_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__VOICE_FOLDER", str(tmp_path))
    (tmp_path / "voice-home.json").write_text("{")
    assert main(["voice", "show"]) == 1
    assert "voice-home.json is not the voice of this affectd" in capsys.readouterr().err


def test_a_voice_of_an_earlier_affectd_is_one_sentence_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__VOICE_FOLDER", str(tmp_path))
    (tmp_path / "voice-home.json").write_text('{"format": 1, "frames": 300}')
    assert main(["voice", "show"]) == 1
    assert (
        "voice-home.json was made by an earlier affectd (it has format 1, this version reads 2); "
        "the next start of affectd moves it aside, and adaptation starts anew"
    ) in capsys.readouterr().err
    assert main(["voice", "reset"]) == 0
    assert not (tmp_path / "voice-home.json").exists()


def test_a_voice_that_cannot_be_removed_is_one_sentence_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTD_EMOTION__VOICE_FOLDER", str(tmp_path))
    (tmp_path / "voice-home.json").mkdir()
    assert main(["voice", "reset"]) == 1
    assert "voice-home.json cannot be removed (Is a directory)" in capsys.readouterr().err


def test_the_desktop_stage_names_the_extra_it_needs() -> None:
    code = "import sys; sys.modules['joblib'] = None; from affectd.daemon.cli import main;"
    code += "sys.exit(main(['train', 'evaluate', '--ravdess', '/none']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        "needs joblib, which is not installed; install it with `pip install 'affectd[train]'`"
        in done.stderr
    )


def test_json_is_on_standard_output_alone() -> None:
    done = run_affectd("config", "show", "--json")
    assert json.loads(done.stdout)
    assert done.stderr == ""
