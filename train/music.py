"""Music for the speech gate to learn from: the scores of a game, played by FluidSynth.

Freedoom (BSD licence) has the scores, and the sound fonts are under the MIT licence, so that what
is learnt from them binds nobody.
"""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import joblib
import numpy as np
import soundfile
import soxr
from tqdm.auto import tqdm

from affectd.daemon.speech.vad import RATE_HZ
from affectd.train.corpora.corpus import CorpusError

PACKAGES: Final = "freedoom fluidsynth fluidr3mono-gm-soundfont musescore-general-soundfont-small"
GAMES: Final = tuple(Path(f"/usr/share/games/doom/freedoom{n}.wad") for n in (1, 2))
FONTS: Final = tuple(
    Path("/usr/share/sounds/sf3", name)
    for name in ("FluidR3Mono_GM.sf3", "MuseScore_General_Lite.sf3")
)
FROM_S: Final = 10  # of a piece, as many begin softly
SECONDS: Final = 30  # of each piece that are kept
LONGEST_S: Final = 120  # that FluidSynth may take for one piece
MIDI: Final = b"MThd"
REFUSED: Final = b"not a SoundFont"


def render(
    folder: Path, games: Sequence[Path] | None = None, fonts: Sequence[Path] | None = None
) -> int:
    """Play every score of the games with one of the sound fonts; return how many there are.

    games: WAD files, by default those of Freedoom; fonts: taken in turn, by default those of the
    PACKAGES. Raises CorpusError if something is missing, or is not what it should be.
    """
    games, fonts = games or GAMES, fonts or FONTS
    if shutil.which("fluidsynth") is None:
        raise CorpusError(f"fluidsynth is missing; install the Debian packages {PACKAGES}")
    for file in (*games, *fonts):
        if not file.is_file():
            raise CorpusError(f"{file} is missing; install the Debian packages {PACKAGES}")
    pieces = {name: score for game in games for name, score in scores(game).items()}
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        joblib.delayed(_play)(score, fonts[number % len(fonts)], folder / f"{name}.flac")
        for number, (name, score) in enumerate(sorted(pieces.items()))
    ]
    played = joblib.Parallel(n_jobs=-1, return_as="generator")(tasks)
    for _ in tqdm(played, total=len(tasks), desc="music", unit="piece"):
        pass
    return len(tasks)


def scores(game: Path) -> dict[str, bytes]:
    """The MIDI scores in a WAD, each once, by the game's name and theirs.

    Raises CorpusError if the file is no WAD, or holds no score.
    Source: the WAD format, a header, and a directory of (offset, size, name).
    """
    wad = game.read_bytes()
    found: dict[bytes, str] = {}
    try:
        kind, count, directory = struct.unpack_from("<4sii", wad)
        for number in range(count if kind in (b"IWAD", b"PWAD") else 0):
            start, size, name = struct.unpack_from("<ii8s", wad, directory + 16 * number)
            if wad.startswith(MIDI, start):
                title = name.rstrip(b"\0").decode("ascii").lower()
                found.setdefault(wad[start : start + size], f"{game.stem}_{title}")
    except (struct.error, UnicodeDecodeError) as error:
        raise CorpusError(f"{game} is damaged ({error}); install it again") from error
    if not found:
        raise CorpusError(f"{game} is no WAD with MIDI scores; name one of Freedoom")
    return {name: score for score, name in found.items()}


def _play(score: bytes, font: Path, to: Path) -> None:
    """Play a score with FluidSynth, and keep SECONDS of it, mono at 16 kHz, at -20 dBFS."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "score.mid"), Path(folder, "played.wav")
        midi.write_bytes(score)
        command = ["fluidsynth", "-niq", "-F", str(wav), "-r", "32000", str(font), str(midi)]
        try:
            done = subprocess.run(command, check=True, capture_output=True, timeout=LONGEST_S)
            if REFUSED in done.stderr:  # it goes on with a font of its own, and exits with 0
                raise CorpusError(f"{font} is no sound font; name one with --fonts")
            with soundfile.SoundFile(wav) as file:
                rate = file.samplerate
                file.seek(min(FROM_S * rate, max(0, file.frames - SECONDS * rate)))
                played = file.read(SECONDS * rate, dtype="float32", always_2d=True).mean(axis=1)
        except (subprocess.SubprocessError, OSError, soundfile.SoundFileError) as error:
            raise CorpusError(f"{to.stem} cannot be played with {font} ({error})") from error
    sound = soxr.resample(played, rate, RATE_HZ)
    level = np.sqrt(np.mean(sound**2))
    soundfile.write(to, np.clip(sound * 0.1 / max(level, 1e-6), -1, 1), RATE_HZ)
