import json
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from affectd.daemon.emotion import voice_file
from affectd.daemon.emotion.encoding import Encoding
from affectd.daemon.emotion.voice_file import KeptVoice, load
from affectd.daemon.errors import VoiceError

WIDTH, ENCODER = 40, "0123456789ab"
MEAN, STD = np.linspace(-4, 4, WIDTH), np.linspace(1, 0.1, WIDTH)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "down" / "voice-kitchen.json"


def speech(count: int = 50) -> Encoding:
    return Encoding(np.full((75, WIDTH), 5, np.float32), count)


def kept(path: Path, utterances: int = 0, half_life_days: float = 7.0) -> KeptVoice:
    voice = KeptVoice(path, MEAN, STD, ENCODER, half_life_days)
    for _ in range(utterances):
        voice.hear(speech())
    return voice


def written(path: Path) -> int:
    """How many utterances the file knows."""
    state = load(path, ENCODER, WIDTH)
    assert state is not None
    return state.utterances


def test_a_voice_survives_a_restart(path: Path) -> None:
    voice = kept(path, 3)
    voice.close()
    again = kept(path)
    assert again.utterances == 3
    np.testing.assert_array_equal(again.mean_std(), voice.mean_std())


def test_a_new_voice_is_the_prior_and_has_a_file_at_once(path: Path) -> None:
    np.testing.assert_array_equal(kept(path).mean_std(), (MEAN, STD))
    assert written(path) == 0


def test_the_file_is_this_users_alone(path: Path) -> None:
    kept(path, 1).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_not_every_utterance_is_written(path: Path) -> None:
    kept(path, 9)
    assert written(path) == 0


def test_an_utterance_long_after_the_last_writing_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = kept(path, 9)
    monkeypatch.setattr(voice_file, "EVERY_S", 0.0)
    voice.hear(speech())
    assert written(path) == 10


def test_a_voice_that_heard_nothing_new_is_not_written_again(path: Path) -> None:
    voice = kept(path, 1)
    voice.close()
    before = path.stat()
    voice.close()
    assert path.stat() == before


def test_a_voice_whose_file_was_removed_starts_anew(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    voice = kept(path, 3)
    path.unlink()
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))
    assert voice.utterances == written(path) == 0
    assert f"{path} was removed or exchanged" in caplog.text


def test_a_file_that_was_removed_is_not_written_back_at_the_end(path: Path) -> None:
    voice = kept(path, 3)
    path.unlink()
    voice.close()
    assert written(path) == 0


def test_a_voice_goes_on_from_a_file_that_was_put_in_its_place(path: Path) -> None:
    kept(path, 5).close()
    backup = path.read_bytes()
    path.unlink()
    voice = kept(path, 1)
    path.write_bytes(backup)
    voice.mean_std()
    assert voice.utterances == 5


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Input data was truncated"),
        (b'{"format":1', "Input data was truncated"),
        (b"\xff\xfe", "JSON is malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"audio":[]}', "missing required field `format`"),
        (b'{"format":2,"audio":[]}', "unknown field `audio`"),
    ],
)
def test_a_damaged_file_is_told_in_a_line_and_kept_aside(
    content: bytes, why: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    np.testing.assert_array_equal(kept(path).mean_std(), (MEAN, STD))
    (record,) = caplog.records
    assert f"{path} is not the voice of this affectd" in record.message
    assert why in record.message
    assert "moved to voice-kitchen.json.damaged-1, and adaptation starts anew" in record.message
    assert path.with_name("voice-kitchen.json.damaged-1").read_bytes() == content
    assert written(path) == 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {"format": 1, "features": {"hop": 160}},
            "was made by an earlier affectd (it has format 1,",
        ),
        ({"format": 3, "speakers": 2}, "was made by a later affectd (it has format 3,"),
        (
            {"encoder": "cafe"},
            "was made with another encoder ('cafe', the bundle has '0123456789ab')",
        ),
    ],
)
def test_a_whole_file_of_another_maker_is_told_in_a_line_and_kept_aside(
    changed: dict[str, object], why: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(path, 3).close()
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    voice = kept(path)
    np.testing.assert_array_equal(voice.mean_std(), (MEAN, STD))
    (record,) = caplog.records
    assert record.message.startswith(f"{path} {why}")
    assert "it is moved to voice-kitchen.json.damaged-1, and adaptation starts" in record.message
    assert path.with_name("voice-kitchen.json.damaged-1").exists()
    assert voice.utterances == written(path) == 0


def test_an_older_damaged_file_is_not_lost(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for content in ("first", "second"):
        path.write_text(content)
        kept(path)
    aside = sorted(path.parent.glob("*.damaged-*"))
    assert [file.read_text() for file in aside] == ["first", "second"]


def test_a_file_that_cannot_be_read_is_kept_aside(path: Path) -> None:
    path.mkdir(parents=True)  # not even root reads a folder
    assert kept(path).utterances == 0
    assert path.with_name("voice-kitchen.json.damaged-1").is_dir()


@pytest.mark.parametrize("folder", ["/proc/affectd", "/dev/null"])
def test_a_place_that_cannot_be_written_is_told_once_and_the_voice_adapts(
    folder: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_file, "EVERY_S", 0.0)
    voice = kept(Path(folder) / "voice-kitchen.json", 3)
    assert voice.mean_std()[0][0] > MEAN[0]
    voice.close()
    (record,) = caplog.records
    assert f"the voice cannot be kept in {folder}/voice-kitchen.json" in record.message
    assert "set emotion.voice_folder to a folder this user may write" in record.message


def test_a_place_that_becomes_writable_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.touch()  # a file where the folder should be
    voice = kept(path, 2)
    path.parent.unlink()
    voice.close()
    assert written(path) == 2


def test_a_file_that_cannot_be_read_is_an_error_to_who_asks(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"the voice in .* cannot be read \(Is a directory\)"):
        load(tmp_path, ENCODER, WIDTH)


def test_what_was_heard_weighs_half_after_so_many_days_between_two_runs(path: Path) -> None:
    kept(path, 3).close()
    state = json.loads(path.read_text())
    state["updated"] = (datetime.now(UTC) - timedelta(days=2)).isoformat(timespec="seconds")
    path.write_text(json.dumps(state))
    again = kept(path, half_life_days=2)
    assert again.state("").frames == 75
    assert again.utterances == 3
    np.testing.assert_allclose(again.mean_std()[0], MEAN + 75 / 325 * (5 - MEAN))


def test_what_was_heard_fades_while_the_service_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = kept(path, half_life_days=1)
    voice.hear(speech())
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 86_400)
    voice.hear(speech(25))
    assert voice.state("").frames == 50


def test_many_short_whiles_fade_as_much_as_one_long_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = kept(path, half_life_days=1)
    voice.hear(speech(75))
    began_s = time.monotonic()
    for part in range(1, 2001):
        at_s = began_s + part * 86_400 / 2000
        monkeypatch.setattr(time, "monotonic", lambda at_s=at_s: at_s)
        voice.hear(speech(0))
    assert voice.state("").frames == pytest.approx(37.5, rel=0.05)


def test_a_clock_that_was_set_back_forgets_nothing(path: Path) -> None:
    kept(path, 3).close()
    state = json.loads(path.read_text())
    state["updated"] = "2999-01-01T00:00:00Z"
    path.write_text(json.dumps(state))
    assert kept(path).state("").frames == 150


def test_a_file_without_a_time_is_not_a_voice(path: Path) -> None:
    kept(path, 1).close()
    state = json.loads(path.read_text())
    state["updated"] = "yesterday"
    path.write_text(json.dumps(state))
    with pytest.raises(VoiceError, match="is not the voice of this affectd"):
        load(path, ENCODER, WIDTH)
