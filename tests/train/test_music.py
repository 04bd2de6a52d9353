import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.cli import main
from affectd.train import music
from affectd.train.corpora.corpus import CorpusError

FONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")


def score(note: int) -> bytes:
    """One note of 40 s on a flute, in MIDI: 96 ticks a beat, two beats a second."""
    held = b"\x00\x90" + bytes([note, 100]) + b"\xbc\x00\x80" + bytes([note, 0])
    track = b"\x00\xc0\x49" + held + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96)
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def game(path: Path, **lumps: bytes) -> Path:
    """A WAD with these lumps."""
    body, directory = b"", b""
    for name, lump in lumps.items():
        directory += struct.pack("<ii8s", 12 + len(body), len(lump), name.encode())
        body += lump
    path.write_bytes(struct.pack("<4sii", b"IWAD", len(lumps), 12 + len(body)) + body + directory)
    return path


def test_every_score_of_a_game_is_found_once(tmp_path: Path) -> None:
    wad = game(tmp_path / "doom.wad", D_E1M1=score(60), MAP01=b"no score", D_AGAIN=score(60))
    assert music.scores(wad) == {"doom_d_e1m1": score(60)}


@pytest.mark.parametrize("damage", [b"", b"IWAD\x01\x00\x00\x00\xff\x00\x00\x00"])
def test_a_damaged_game_is_named(damage: bytes, tmp_path: Path) -> None:
    wad = tmp_path / "doom.wad"
    wad.write_bytes(damage)
    with pytest.raises(CorpusError, match=r"doom\.wad is damaged \(.*\); install it again"):
        music.scores(wad)


def test_a_file_without_scores_is_named(tmp_path: Path) -> None:
    wad = game(tmp_path / "doom.wad", MAP01=b"no score")
    with pytest.raises(CorpusError, match=r"doom\.wad is no WAD with MIDI scores; name one of"):
        music.scores(wad)


def test_a_note_is_played_at_its_pitch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wad = game(tmp_path / "doom.wad", D_NOTE=score(69))
    words = ["train", "music", "--to", str(tmp_path / "to"), "--games", str(wad)]
    assert main([*words, "--fonts", str(FONT)]) == 0
    assert "1 pieces of 30 s in" in capsys.readouterr().out
    played, rate = soundfile.read(tmp_path / "to" / "doom_d_note.flac")
    assert rate == 16_000
    spectrum = np.abs(np.fft.rfft(played))
    peaks = np.fft.rfftfreq(len(played), 1 / rate)[np.argsort(spectrum)[-20:]]
    overtones = np.round(peaks / 440)
    assert overtones.min() >= 1
    np.testing.assert_allclose(peaks, overtones * 440, rtol=0.02)


def test_what_is_missing_is_named_with_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "font.sf3"
    with pytest.raises(CorpusError, match=r"font\.sf3 is missing; install the Debian packages"):
        music.render(tmp_path, (game(tmp_path / "doom.wad", D_NOTE=score(69)),), (nowhere,))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CorpusError, match="fluidsynth is missing; install the Debian packages fr"):
        music.render(tmp_path)


def test_a_font_that_is_none_is_named(tmp_path: Path) -> None:
    wad = game(tmp_path / "doom.wad", D_NOTE=score(69))
    font = tmp_path / "font.sf3"
    font.write_bytes(b"no font")
    with pytest.raises(CorpusError, match=r"font\.sf3 is no sound font; name one with --fonts"):
        music.render(tmp_path, (wad,), (font,))
