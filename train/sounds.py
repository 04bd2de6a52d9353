"""Recordings without an emotion: what is not speech, and plain speech."""

from pathlib import Path
from typing import Final

from affectd.train.corpora.corpus import Clip, Corpus, CorpusError
from affectd.train.corpora.layouts import audio_files

UNLABELLED: Final = -1


def load(root: Path, name: str) -> Corpus:
    """All recordings below a folder; each is a speaker of its own.

    Raises CorpusError if there is none.
    """
    clips = tuple(
        Clip(path, name, f"{name}_{path.relative_to(root).with_suffix('').as_posix()}", UNLABELLED)
        for path in audio_files(root)
    )
    if not clips:
        raise CorpusError(f"{root} holds no recordings; give a folder of WAV, FLAC or Ogg files")
    return Corpus(name, "as its publishers say", clips)
