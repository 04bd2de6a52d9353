"""From folders of recordings to all that is learnt from and tested with."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train import sounds
from affectd.train.conditions import Surroundings, Trials, Voices
from affectd.train.corpora import layouts, table
from affectd.train.corpora.corpus import Corpus, CorpusError
from affectd.train.corpora.layouts import audio_files
from affectd.train.examples import Examples, join, stored
from affectd.train.fits import Data, held_out
from affectd.train.folds import COUNT

VOICES: Final = 12  # of each speaker of the first corpus
OTHER_VOICES: Final = 3  # of each speaker of the other corpora: they have speakers of their own
PLAIN_VOICES: Final = 2
NOISE_VOICES: Final = 16
NEUTRAL: Final = EMOTIONS.index("neutral")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where recordings lie; the first corpus is tested."""

    corpora: dict[str, Path] = field(default_factory=dict)  # key of LAYOUTS -> folder
    tables: tuple[Path, ...] = ()  # CSV tables of other labelled recordings
    noise: tuple[Path, ...] = ()  # folders of what is not speech, household noise first
    music: tuple[Path, ...] = ()  # the same, but never laid under virtual voices
    tried_noise: tuple[Path, ...] = ()  # others, that only test
    plain: tuple[Path, ...] = ()  # folders of speech without acted emotion
    rooms: tuple[Path, ...] = ()  # impulse responses to learn from, files or folders of them
    tried_rooms: tuple[Path, ...] = ()  # others, to be tested in


def corpora(sources: Sources) -> list[Corpus]:
    """Load the labels of every corpus. Raises CorpusError if there is none, or one is amiss."""
    loaded = [layouts.load(key, folder) for key, folder in sources.corpora.items()]
    loaded += [table.load(path) for path in sources.tables]
    _check_names([*(corpus.clips[0].corpus for corpus in loaded), *_names(sources)])
    if not loaded:
        raise CorpusError("no corpus is named; name at least one, such as --ravdess DIR")
    return loaded


def surroundings(sources: Sources) -> tuple[Surroundings, Surroundings]:
    """Rooms and noises to learn from, and others to be tested in.

    Every second noise of the folders after the first is learnt from, and those of the first are
    tested in; of a single folder half serve each. Raises CorpusError.
    """
    rooms, tried_rooms = (
        tuple(path for place in places for path in _files(place))
        for places in (sources.rooms, sources.tried_rooms)
    )
    _check_apart(rooms, tried_rooms, "rooms")
    learnt, tried = _noises(sources.noise)
    return Surroundings(rooms, learnt), Surroundings(tried_rooms, tried)


def _noises(folders: tuple[Path, ...]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Noises to put under voices that are learnt from, and under those that are tested."""
    if not folders:
        return (), ()
    first, *others = ([*sounds.load(folder, folder.name).clips] for folder in folders)
    household = tuple(clip.path for clip in first)
    _check_apart([clip.path for clips in others for clip in clips], household, "noises")
    halves: tuple[list[Path], list[Path]] = ([], [])
    for clips in others or [first]:
        sources = list(dict.fromkeys(clip.speaker for clip in clips))
        for clip in clips:
            halves[sources.index(clip.speaker) % 2].append(clip.path)
    learnt, unused = halves
    return tuple(learnt), household if others else tuple(unused)


def _check_apart(learnt: Iterable[Path], tried: Iterable[Path], what: str) -> None:
    if both := {path.resolve() for path in learnt} & {path.resolve() for path in tried}:
        raise CorpusError(
            f"{min(both)} is among the {what} to learn from and among those to be tested in; "
            "leave it out of one"
        )


def gather(sources: Sources, workdir: Path, jobs: int) -> tuple[Data, list[Corpus]]:
    """Load, cut and measure everything, or take what workdir holds of it.

    Plain speech is taught as neutral. Returns the data, and the labelled corpora without what
    had to be left out.
    """
    learnt, tried = surroundings(sources)
    first, *others = corpora(sources)
    voices = [Voices(VOICES, learnt), *(Voices(OTHER_VOICES, learnt) for _ in others)]
    kept = [
        stored(corpus, of_each, workdir, jobs)
        for corpus, of_each in zip((first, *others), voices, strict=True)
    ]
    trials = None
    if tried.rooms and tried.noises:
        trials = stored(kept[0][0], Trials(tried), workdir, jobs)[1]
    else:
        print("No trying conditions: they need --noise and --tried-rooms.", file=sys.stderr)
    noise = _sounds((*sources.noise, *sources.music), Voices(NOISE_VOICES, learnt), workdir, jobs)
    if sources.tried_noise:
        if noise is None:
            raise CorpusError("--tried-noise tests the speech gate, which learns from --noise")
        noise = join([noise, *_tried(sources.tried_noise, workdir, jobs)])
    plain = _sounds(sources.plain, Voices(PLAIN_VOICES, learnt), workdir, jobs)
    taught = [examples for _, examples in kept]
    if plain is not None:
        taught.append(replace(plain, clips=tuple(replace(c, emotion=NEUTRAL) for c in plain.clips)))
    return (
        Data(examples=join(taught), trials=trials, noise=noise, plain=plain),
        [corpus for corpus, _ in kept],
    )


def _sounds(folders: tuple[Path, ...], voices: Voices, workdir: Path, jobs: int) -> Examples | None:
    if not folders:
        return None
    under = frozenset(voices.around.noises)
    loaded = [sounds.load(folder, folder.resolve().name, under) for folder in folders]
    examples = join([stored(corpus, voices, workdir, jobs)[1] for corpus in loaded])
    if any(not held_out(examples, fold).size for fold in range(COUNT)):
        raise CorpusError(
            f"{', '.join(map(str, folders))} hold {len(examples.clips)} recording(s), too few for "
            f"each of {COUNT} folds to test utterances in some; add others"
        )
    return examples


def _tried(folders: tuple[Path, ...], workdir: Path, jobs: int) -> Iterator[Examples]:
    """Sounds that only test, as recorded."""
    for folder in folders:
        corpus = sounds.load(folder, folder.resolve().name)
        clips = tuple(replace(clip, is_learnt=False) for clip in corpus.clips)
        yield stored(replace(corpus, clips=clips), Voices(), workdir, jobs)[1]


def _names(sources: Sources) -> list[str]:
    return [
        folder.resolve().name
        for folder in (*sources.noise, *sources.music, *sources.tried_noise, *sources.plain)
    ]


def _check_names(names: list[str]) -> None:
    """Speakers are told apart by the names of their corpora, which are those of folders."""
    if twice := {name for name in names if names.count(name) > 1}:
        raise CorpusError(
            f"two of the recordings' folders are named {', '.join(sorted(twice))}; rename one"
        )


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from audio_files(place)
    elif place.is_file():
        yield place
    else:
        raise CorpusError(f"{place} does not exist; give files or folders of impulse responses")
