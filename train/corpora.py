"""Labelled recordings and where their labels come from."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import AffectdError, RecordingError

AUDIO_SUFFIXES = {".wav", ".flac"}


class CorpusError(AffectdError):
    """A corpus is missing or its files are not named as its publishers name them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording."""

    path: Path
    emotion: int  # index into EMOTIONS
    intensity: int  # 1 normal, 2 strong
    sentence: int  # 1 "Kids are talking by the door", 2 "Dogs are sitting by the door"
    repetition: int  # 1 or 2
    actor: int  # 1 to 24; odd numbers are men
    sha256: str  # of the samples at 16 kHz


@dataclass(frozen=True, slots=True)
class Corpus:
    """Clips fit for training, and those that were left out."""

    name: str
    licence: str
    clips: tuple[Clip, ...]
    duplicates: tuple[tuple[Path, Path], ...]  # (left out, the same recording that is kept)
    unreadable: tuple[tuple[Path, str], ...]  # (left out, why)

    def report(self) -> str:
        """Tell in a few lines what was found and what was left out."""
        actors = {clip.actor for clip in self.clips}
        counts = Counter(clip.emotion for clip in self.clips)
        lines = [
            f"{self.name}: {len(self.clips)} clips of {len(actors)} actors ({self.licence})",
            "  " + ", ".join(f"{label} {counts[i]}" for i, label in enumerate(EMOTIONS)),
        ]
        lines += [
            f"  left out {a.name}: the same recording as {b.name}" for a, b in self.duplicates
        ]
        lines += [f"  left out {path}: {why}" for path, why in self.unreadable]
        return "\n".join(lines)


def ravdess(root: Path) -> Corpus:
    """Load RAVDESS speech, audio only, in its publishers' layout.

    root: holds Actor_01 to Actor_24 with files named 03-01-EE-II-SS-RR-AA (modality, channel,
    emotion, intensity, sentence, repetition, actor), WAV or FLAC; a file with other fields, such
    as song or video, is not speech and is passed over.
    Raises CorpusError if no clip is found.
    Source: Livingstone & Russo (2018), https://doi.org/10.1371/journal.pone.0196391.
    """
    paths = sorted(
        path
        for path in root.glob("Actor_*/03-01-*")
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    )
    clips: list[Clip] = []
    duplicates: list[tuple[Path, Path]] = []
    unreadable: list[tuple[Path, str]] = []
    seen: dict[str, Path] = {}
    for path in tqdm(paths, desc="reading", unit="clip"):
        try:
            samples = Recording(path).samples()
            clip = _parse(path, hashlib.sha256(samples.tobytes()).hexdigest())
        except (CorpusError, RecordingError) as error:
            unreadable.append((path, str(error)))
            continue
        original = seen.setdefault(clip.sha256, path)
        if original is path:
            clips.append(clip)
        else:
            duplicates.append((path, original))
    if not clips:
        raise CorpusError(
            f"{root} holds no RAVDESS speech; it must contain Actor_01/03-01-01-01-01-01-01.wav "
            "and so on (download Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976)"
        )
    return Corpus("RAVDESS", "CC BY-NC-SA 4.0", tuple(clips), tuple(duplicates), tuple(unreadable))


def _parse(path: Path, sha256: str) -> Clip:
    """Read the seven fields of a RAVDESS file name; raise CorpusError if they make no sense."""
    try:
        _, _, emotion, intensity, sentence, repetition, actor = (
            int(field) for field in path.stem.split("-")
        )
    except ValueError as error:
        raise CorpusError(f"{path.name} does not have seven numbers in its name") from error
    possible = (
        1 <= emotion <= len(EMOTIONS)
        and {intensity, sentence, repetition} <= {1, 2}
        and 1 <= actor <= 24
    )
    if not possible:
        raise CorpusError(f"{path.name} names an emotion, intensity or actor that does not exist")
    return Clip(path, emotion - 1, intensity, sentence, repetition, actor, sha256)
