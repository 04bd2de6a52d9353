"""Labelled recordings and where their labels come from."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.errors import AffectdError

AUDIO_SUFFIXES: Final = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
MOST_LEFT_OUT: Final = 0.1  # share of a corpus that may be missing, damaged or misnamed


class CorpusError(AffectdError):
    """A corpus is missing, damaged, mislabelled or too small for what is asked of it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording."""

    path: Path
    corpus: str
    speaker: str  # unique over all corpora: `ravdess_07`
    emotion: int  # index into EMOTIONS
    gender: str = ""  # `f`, `m` or unknown
    intensity: str = ""  # `normal`, `strong` or unknown
    is_tested: bool = True  # False for a noise that lies under virtual voices: it is only learnt
    is_learnt: bool = True  # False for what only tests
    heard: tuple[
        int, ...
    ] = ()  # index into EMOTIONS: what most listeners heard, if they were asked


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not used, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Clips fit for training, and those that were left out."""

    name: str
    licence: str
    clips: tuple[Clip, ...]
    left_out: tuple[LeftOut, ...] = ()
    citation: str = ""

    def report(self) -> str:
        """Tell in a few lines what was found and what was left out."""
        speakers = {clip.speaker for clip in self.clips}
        counts = Counter(clip.emotion for clip in self.clips)
        lines = [
            f"{self.name}: {len(self.clips)} clips of {len(speakers)} speakers ({self.licence})",
            "  " + ", ".join(f"{label} {counts[i]}" for i, label in enumerate(EMOTIONS)),
        ]
        lines += [
            f"  left out {one.path.parent.name}/{one.path.name}: {one.why}" for one in self.left_out
        ]
        return "\n".join(lines)

    def without(self, clips: frozenset[Clip], why: tuple[LeftOut, ...]) -> "Corpus":
        """The corpus without some clips; raise CorpusError if too much has been left out."""
        kept = tuple(clip for clip in self.clips if clip not in clips)
        corpus = replace(self, clips=kept, left_out=self.left_out + why)
        corpus.check()
        return corpus

    def check(self) -> None:
        """Raise CorpusError if more than MOST_LEFT_OUT of the files had to be left out."""
        share = len(self.left_out) / max(1, len(self.left_out) + len(self.clips))
        if share > MOST_LEFT_OUT:
            first = self.left_out[0]
            raise CorpusError(
                f"{self.name}: {len(self.left_out)} of {len(self.left_out) + len(self.clips)} "
                f"files had to be left out ({share:.0%}, at most {MOST_LEFT_OUT:.0%} may be), the "
                f"first is {first.path}: {first.why}; mend them or fetch the corpus again"
            )
