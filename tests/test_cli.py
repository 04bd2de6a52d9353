import json
import os
import signal
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from affectd import __version__
from affectd.daemon import schemas
from affectd.daemon.capture.microphone import devices
from affectd.daemon.cli import main
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
    "words", ["", "run", "demo", "analyze", "devices", "config", "train", "train final", "export"]
)
def test_every_command_explains_itself(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*words.split(), "--help"])
    assert "usage: affectd" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["sing"], ["analyze"], ["run", "--broker", "other"]])
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


def test_the_demo_shows_at_least_five_readings() -> None:
    done = run_affectd("demo", "--fast")
    assert done.returncode == 0
    assert done.stdout.count("acted:") >= 5
    assert done.stdout.count("surprised ") >= 5
    assert "Traceback" not in done.stderr


def test_the_demo_as_json_prints_what_the_schema_says_and_nothing_else() -> None:
    done = run_affectd("demo", "--fast", "--json")
    messages = lines_of(done.stdout)
    assert len(messages) >= 5
    for message in messages:
        jsonschema.validate(message, schemas.schema("utterance"))


def test_the_demo_recording_has_its_attribution_beside_it() -> None:
    text = (DEMO.parent / "ATTRIBUTION.md").read_text()
    assert "CREMA-D" in text
    assert "Open Database License" in text


@pytest.mark.skipif(bool(devices()), reason="this machine has a microphone")
def test_a_machine_without_a_microphone_is_told_so() -> None:
    for words in (["devices"], ["devices", "--json"], ["run"]):
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


def test_the_desktop_stage_names_the_extra_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "joblib", None)
    monkeypatch.delitem(sys.modules, "affectd.train.examples", raising=False)
    assert main(["train", "final", "--ravdess", "/none"]) == 2
    error = capsys.readouterr().err
    assert (
        "needs joblib, which is not installed; install it with `pip install 'affectd[train]'`"
        in error
    )


def test_json_is_on_standard_output_alone() -> None:
    done = run_affectd("config", "show", "--json")
    assert json.loads(done.stdout)
    assert done.stderr == ""
