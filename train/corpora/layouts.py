"""How publishers lay out their corpora: labels and speakers out of file names."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import AUDIO_SUFFIXES, Clip, Corpus, CorpusError, LeftOut


@dataclass(frozen=True, slots=True)
class Label:
    """What a file name says of its recording."""

    speaker: str
    emotion: str  # one of EMOTIONS
    gender: str = ""
    intensity: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """One publisher's way to lay out a corpus."""

    name: str
    licence: str
    citation: str
    homepage: str
    example: str  # of a file, below the corpus's folder
    files: re.Pattern[str]  # of the corpus, matched on the path below its folder, no suffix
    label: Callable[[re.Match[str]], Label | None]  # None for an emotion that affectd lacks
    people: str = ""  # the layout whose speakers these are, if not this one


def load(key: str, root: Path) -> Corpus:
    """Load a corpus by its file names; files that belong to no corpus of this layout are ignored.

    key: one of LAYOUTS. A clip that lies there twice under one name, as some copies have it, is
    taken once. Raises CorpusError if the folder holds no clip of it, or too many whose names make
    no sense.
    """
    layout = LAYOUTS[key]
    clips: list[Clip] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for path in audio_files(root):
        match = layout.files.search(path.relative_to(root).with_suffix("").as_posix())
        if match is None or match[0].strip("/") in seen:
            continue
        seen.add(match[0].strip("/"))
        try:
            label = layout.label(match)
        except ValueError as error:
            left_out.append(LeftOut(path, f"its name makes no sense ({error})"))
            continue
        if label is not None:
            emotion = EMOTIONS.index(label.emotion)
            speaker = f"{layout.people or key}_{label.speaker}"
            clips.append(Clip(path, key, speaker, emotion, label.gender, label.intensity))
    if not clips and not left_out:
        raise CorpusError(
            f"{root} holds no {layout.name}; it must contain {layout.example} and so on "
            f"(from {layout.homepage}, or `affectd train fetch {key}`)"
        )
    corpus = Corpus(layout.name, layout.licence, tuple(clips), tuple(left_out), layout.citation)
    corpus.check()
    return corpus


def audio_files(root: Path) -> list[Path]:
    """All audio files below a folder, sorted; hidden ones are passed over.

    Raises CorpusError if there is no such folder.
    """
    if not root.is_dir():
        raise CorpusError(f"{root} is not a folder; give the folder into which it was unpacked")
    found: list[Path] = []
    seen: set[Path] = set()  # a linked folder may lead back
    for folder, below, names in os.walk(root, onerror=_unreadable, followlinks=True):
        here = Path(folder)
        if here.resolve() in seen:
            below.clear()
            continue
        seen.add(here.resolve())
        below[:] = [name for name in below if not name.startswith(".")]
        found += [here / name for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in AUDIO_SUFFIXES)


def _unreadable(error: OSError) -> None:
    raise CorpusError(
        f"{error.filename} cannot be read ({error.strerror}); allow your user to read it"
    ) from error


def _ravdess(match: re.Match[str]) -> Label:
    fields = match[1].split("-")
    if len(fields) != 5 or not all(field.isdecimal() for field in fields):
        raise ValueError("it does not have seven numbers")
    emotion, intensity, sentence, repetition, actor = (int(field) for field in fields)
    if not (1 <= emotion <= 8 and {intensity, sentence, repetition} <= {1, 2} and 1 <= actor <= 24):
        raise ValueError("no such emotion, intensity, sentence, repetition or actor")
    return Label(
        f"{actor:02}",
        EMOTIONS[emotion - 1],
        "m" if actor % 2 else "f",
        ("normal", "strong")[intensity - 1],
    )


_CREMAD: Final = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
# The level is unspecified but for one of the twelve sentences. Copies from before October 2022
# have one `X` too few: 1040_ITH_SAD_X.wav (issue 6 of the publishers' repository).
_CREMAD_LEVELS: Final = {"LO": "normal", "MD": "normal", "HI": "strong", "XX": "", "X": ""}
# VideoDemographics.csv of CREMA-D: 43 actresses; the other 48 are men.
_CREMAD_WOMEN: Final = frozenset(
    f"10{number:02}"
    for number in (
        2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 18, 20, 21, 24, 25, 28, 29, 30, 37, 43, 46, 47, 49, 52, 53,
        54, 55, 56, 58, 60, 61, 63, 72, 73, 74, 75, 76, 78, 79, 82, 84, 89, 91,
    )
)  # fmt: skip


def _cremad(match: re.Match[str]) -> Label:
    actor, emotion, level = match.groups()
    if not 1001 <= int(actor) <= 1091:
        raise ValueError(f"no actor {actor}")
    gender = "f" if actor in _CREMAD_WOMEN else "m"
    return Label(actor, _known(_CREMAD, emotion), gender, _known(_CREMAD_LEVELS, level))


_WORDS: Final = {
    "neutral": "neutral",
    "calm": "calm",
    "happiness": "happy",
    "happy": "happy",
    "sadness": "sad",
    "sad": "sad",
    "anger": "angry",
    "angry": "angry",
    "fear": "fearful",
    "fearful": "fearful",
    "disgust": "disgusted",
    "disgusted": "disgusted",
    "surprise": "surprised",
    "surprised": "surprised",
    "ps": "surprised",  # TESS: pleasant surprise
}


def word(text: str) -> str:
    """One of EMOTIONS for a corpus's own word; raises ValueError if it is none of them."""
    return _known(_WORDS, text.strip().lower())


def _known(codes: dict[str, str], code: str) -> str:
    if code not in codes:
        raise ValueError(f"{code!r} is none of {', '.join(codes)}")
    return codes[code]


_NEMO_WOMEN: Final = frozenset({"EB0", "IC0", "KD0", "MK0"})  # data.tsv of nEMO


def _nemo(match: re.Match[str]) -> Label:
    speaker, emotion = match.groups()
    return Label(speaker, word(emotion), "f" if speaker in _NEMO_WOMEN else "m")


def _tess(match: re.Match[str]) -> Label:
    speaker, emotion = match.groups()
    # One file is published without its F: OAF_neutral/OA_bite_neutral.wav.
    return Label("OAF" if speaker == "OA" else speaker, word(emotion), "f")


_SAVEE: Final = {
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}


def _savee(match: re.Match[str]) -> Label:
    speaker, emotion = match.groups()
    return Label(speaker, _known(_SAVEE, emotion), "m")


_EMODB: Final = {
    "W": "angry",
    "E": "disgusted",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
_EMODB_MEN: Final = frozenset({"03", "10", "11", "12", "15"})


def _emodb(match: re.Match[str]) -> Label | None:
    speaker, emotion = match.groups()
    if emotion == "L":  # boredom
        return None
    return Label(speaker, _known(_EMODB, emotion), "m" if speaker in _EMODB_MEN else "f")


_EMOVO: Final = {
    "neu": "neutral",
    "gio": "happy",
    "tri": "sad",
    "rab": "angry",
    "pau": "fearful",
    "dis": "disgusted",
    "sor": "surprised",
}


def _emovo(match: re.Match[str]) -> Label:
    emotion, speaker = match.groups()
    return Label(speaker, _known(_EMOVO, emotion), speaker[0])


_BANGLASER: Final = ("happy", "sad", "angry", "surprised", "neutral")  # codes 1 to 5


def _banglaser(match: re.Match[str]) -> Label:
    """Label a clip; its intensity is left out, as it only repeats the emotion."""
    fields = match[1].split("-")
    if len(fields) != 7 or not all(field.isdecimal() for field in fields):
        raise ValueError("it does not have seven numbers")
    emotion, intensity, sentence, repetition, actor = (int(field) for field in fields[2:])
    if not (
        1 <= emotion <= 5
        and 1 <= intensity <= 2
        and {sentence, repetition} <= {1, 2, 3}
        and 1 <= actor <= 34
    ):
        raise ValueError("no such emotion, intensity, sentence, repetition or actor")
    return Label(f"{actor:02}", _BANGLASER[emotion - 1], "m" if actor % 2 else "f")


_INDIAN: Final = {"calm": "neutral", "happy": "happy", "angry": "angry", "fearful": "fearful"}


def _indian(match: re.Match[str]) -> Label | None:
    emotion, speaker = match.groups()
    if emotion == "None":  # background sounds
        return None
    return Label(speaker[:12], _known(_INDIAN, emotion.lower()))


LAYOUTS: Final = {
    "ravdess": Layout(
        "RAVDESS speech",
        "CC BY-NC-SA 4.0",
        "Livingstone & Russo (2018), https://doi.org/10.1371/journal.pone.0196391",
        "https://zenodo.org/records/1188976",
        "Actor_01/03-01-01-01-01-01-01.wav",
        re.compile(r"(?:^|/)(?<!BanglaSER/)Actor_\d\d/03-01-([^/]*)$"),
        _ravdess,
    ),
    "ravdess_song": Layout(
        "RAVDESS song",
        "CC BY-NC-SA 4.0",
        "Livingstone & Russo (2018), https://doi.org/10.1371/journal.pone.0196391",
        "https://zenodo.org/records/1188976",
        "Actor_01/03-02-01-01-01-01-01.wav",
        re.compile(r"(?:^|/)Actor_\d\d/03-02-([^/]*)$"),
        _ravdess,
        people="ravdess",
    ),
    "cremad": Layout(
        "CREMA-D",
        "ODbL 1.0, contents DbCL 1.0",
        "Cao et al. (2014), https://doi.org/10.1109/TAFFC.2014.2336244",
        "https://github.com/CheyneyComputerScience/CREMA-D",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        # The publishers' repository holds every clip twice, in AudioMP3 too.
        re.compile(r"(?:^|/)(?<!AudioMP3/)(1\d{3})_[A-Z]+_([A-Z]+)_([A-Z]+)$"),
        _cremad,
    ),
    "nemo": Layout(
        "nEMO",
        "CC BY-NC-SA 4.0",
        "Christop (2024), https://aclanthology.org/2024.lrec-main.1059",
        "https://github.com/amu-cai/nEMO",
        "samples/EB0_anger_1.wav",
        re.compile(r"(?:^|/)([A-Z]{2}\d)_([a-z]+)_\d+$"),
        _nemo,
    ),
    # Its names are like those of RAVDESS; the folder tells the two apart.
    "banglaser": Layout(
        "BanglaSER",
        "CC BY 4.0",
        "Das et al. (2022), https://doi.org/10.1016/j.dib.2022.108091",
        "https://doi.org/10.17632/t9h6p943xy",
        "BanglaSER/…/03-01-01-01-01-01-01.wav",
        re.compile(r"(?:(?:^|/)(?<!Actor_\d\d/)|BanglaSER/Actor_\d\d/)(0[13]-01-[^/]*)$"),
        _banglaser,
    ),
    "tess": Layout(
        "TESS",
        "CC BY-NC-ND 4.0",
        "Pichora-Fuller & Dupuis (2020), https://doi.org/10.5683/SP2/E8H2MF",
        "https://doi.org/10.5683/SP2/E8H2MF",
        "OAF_angry/OAF_back_angry.wav",
        re.compile(r"(?:^|/)(OAF?|YAF)_[^/_]+_([^/_]+)$"),
        _tess,
    ),
    "savee": Layout(
        "SAVEE",
        "free for research, on registration",
        "Haq & Jackson (2009), Speaker-dependent audio-visual emotion recognition, AVSP",
        "https://personalpages.surrey.ac.uk/p.jackson/SAVEE/Register.html",
        "AudioData/DC/a01.wav",
        re.compile(r"(?:^|/)(DC|JE|JK|KL)[/_]([a-z]{1,2})\d\d$"),
        _savee,
    ),
    "emodb": Layout(
        "EmoDB",
        "none stated by its publishers, CC0 1.0 in the copy of audEERING",
        "Burkhardt et al. (2005), https://doi.org/10.21437/Interspeech.2005-446",
        "http://emodb.bilderbar.info/",
        "wav/03a01Fa.wav",
        re.compile(r"(?:^|/)(\d\d)[ab]\d\d([A-Z])[a-z]?$"),
        _emodb,
    ),
    "emovo": Layout(
        "EMOVO",
        "free for research",
        "Costantini et al. (2014), https://aclanthology.org/L14-1478",
        "http://voice.fub.it/activities/corpora/emovo/index.html",
        "f1/gio-f1-b1.wav",
        re.compile(r"(?:^|/)([a-z]{3})-([fm]\d)-[a-z]\d$"),
        _emovo,
    ),
    # Its `calm` stands for everyday speech, which is neutral in the sense of the other corpora.
    "indian": Layout(
        "Indian EmoSpeech Command",
        "CC BY-NC-SA 4.0",
        "Banga et al. (2019), https://arxiv.org/abs/1910.13801",
        "https://arxiv.org/abs/1910.13801",
        "audio/bacho-safe-angry-1562996360436-c7b431195e28….wav",
        re.compile(r"(?:^|/)[a-z]+-[a-z_ ]+-([A-Za-z]+)-(?:\d+|\?\?)-([0-9a-f]{12,})$"),
        _indian,
    ),
}
