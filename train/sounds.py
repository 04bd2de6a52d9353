"""Recordings without an emotion: what is not speech, and plain speech."""

import re
from pathlib import Path
from typing import Final

from affectd.train.corpora.corpus import Clip, Corpus, CorpusError
from affectd.train.corpora.layouts import audio_files

UNLABELLED: Final = -1
# Household recordings in which people are heard, so that they are no example of what is not speech:
# talk behind the noise of a kitchen, by the moving pitch in its spectrogram, and a man who miaows.
WITH_PEOPLE: Final = frozenset({"kitchen", "dude_miaowing"})
# LibriSpeech's READER-CHAPTER-NUMBER, and ESC's FOLD-RECORDING-TAKE-CLASS.
PARTS: Final = (re.compile(r"(\d+)-\d+-\d+"), re.compile(r"(\d+-\d+)-[A-Z]-\d+"))


def load(root: Path, name: str, learnt: frozenset[Path] = frozenset()) -> Corpus:
    """All recordings below a folder; each is a speaker of its own.

    Recordings of one reader (as LibriSpeech names them) or parts of one recording (as ESC names
    them) are one speaker. learnt: recordings that test nothing. Those WITH_PEOPLE neither test nor
    are they learnt from. Raises CorpusError if there is none.
    """
    clips = tuple(
        Clip(
            path,
            name,
            f"{name}_{_source(path, root)}",
            UNLABELLED,
            is_tested=path not in learnt and path.stem not in WITH_PEOPLE,
            is_learnt=path.stem not in WITH_PEOPLE,
        )
        for path in audio_files(root)
    )
    if not clips:
        raise CorpusError(f"{root} holds no recordings; give a folder of WAV, FLAC or Ogg files")
    return Corpus(name, "as its publishers say", clips)


def _source(path: Path, root: Path) -> str:
    for part in PARTS:
        if (found := part.fullmatch(path.stem)) is not None:
            return found[1]
    return path.relative_to(root).with_suffix("").as_posix()
