"""From folders of recordings to all that is learnt from and tested with."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train import rooms, sounds
from affectd.train.conditions import Surroundings, Trials, Voices
from affectd.train.corpora import layouts, table
from affectd.train.corpora.corpus import Clip, Corpus, CorpusError
from affectd.train.corpora.kept_out import is_kept_out
from affectd.train.corpora.layouts import audio_files
from affectd.train.corpora.listeners import voice_votes
from affectd.train.encoder import Encoder, prepared
from affectd.train.examples import Examples, join, stored
from affectd.train.fits import Data, held_out
from affectd.train.folds import COUNT, speakers_tested

VOICES: Final = 3  # of each speaker, the own one included
NOISE_VOICES: Final = 8


@dataclass(frozen=True, slots=True)
class Sources:
    """Where recordings lie; the first corpus is tested on folds."""

    encoder: Path  # of `affectd train fetch encoder`
    corpora: dict[str, Path] = field(default_factory=dict)  # key of LAYOUTS -> folder
    tables: tuple[Path, ...] = ()  # CSV tables of other labelled recordings
    test_only: tuple[Path, ...] = ()  # the same of recordings that nothing is learnt from
    noise: tuple[Path, ...] = ()  # folders of what is not speech, household noise first
    music: tuple[Path, ...] = ()  # the same, but never laid under virtual voices
    tried_noise: tuple[Path, ...] = ()  # others, that only test
    plain: tuple[Path, ...] = ()  # folders of speech without acted emotion
    rooms: tuple[Path, ...] = ()  # impulse responses to learn from, files or folders of them
    tried_rooms: tuple[Path, ...] = ()  # others, to be tested in


def corpora(sources: Sources) -> list[Corpus]:
    """Load the labels of every corpus. Raises CorpusError if there is none, or one is amiss."""
    loaded = [_loaded(key, folder) for key, folder in sources.corpora.items()]
    loaded += [table.load(path) for path in sources.tables]
    _check_names([*(corpus.clips[0].corpus for corpus in loaded), *_names(sources)])
    if not loaded:
        raise CorpusError("no corpus is named; name at least one, such as --ravdess DIR")
    return loaded


def _loaded(key: str, folder: Path) -> Corpus:
    """A corpus in its publishers' layout, with what its listeners heard where that is known.

    The demo's speakers and sentences, of CREMA-D, are not learnt from.
    """
    corpus = layouts.load(key, folder)
    if key != "cremad":
        return corpus
    votes = voice_votes(folder)

    def with_vote(clip: Clip) -> Clip:
        vote = votes.get(clip.path.stem)
        heard = tuple(EMOTIONS.index(emotion) for emotion in vote.emotions) if vote else ()
        return replace(clip, heard=heard, is_learnt=not is_kept_out(clip.path.stem))

    return replace(corpus, clips=tuple(with_vote(clip) for clip in corpus.clips))


def surroundings(sources: Sources, workdir: Path) -> tuple[Surroundings, Surroundings]:
    """Rooms and noises to learn from, and others to be tested in.

    Beside recorded rooms, synthesised ones are learnt from; they are kept in workdir.

    Every second noise of the folders after the first is learnt from, and those of the first are
    tested in; of a single folder half serve each. Raises CorpusError.
    """
    recorded, tried_rooms = (
        tuple(path for place in places for path in _files(place))
        for places in (sources.rooms, sources.tried_rooms)
    )
    _check_apart(recorded, tried_rooms, "rooms")
    learnt, tried = _noises(sources.noise)
    boxes = rooms.synthesise(workdir / "rooms")
    return Surroundings((*recorded, *boxes), learnt), Surroundings(tried_rooms, tried)


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
    """Load, cut, measure and encode everything, or take what workdir holds of it.

    Plain speech has no label, so that the speech gate alone learns from it. Taught as neutral, it
    taught the networks to call neutral whatever is recorded as cleanly. Returns the data, and the
    labelled corpora without what had to be left out.
    """
    loaded = corpora(sources)
    test_only = [table.load(path) for path in sources.test_only]
    _check_unseen(loaded, test_only)
    _check_sounds(sources)
    encoder = prepared(sources.encoder, workdir)
    learnt, tried = surroundings(sources, workdir)
    voices = Voices(VOICES, learnt)
    kept = [stored(corpus, voices, encoder, workdir, jobs) for corpus in loaded]
    unseen = [stored(corpus, Voices(), encoder, workdir, jobs)[1] for corpus in test_only]
    trials = None
    if tried.rooms and tried.noises:
        trials = stored(kept[0][0], Trials(tried), encoder, workdir, jobs)[1]
    else:
        print("No trying conditions: they need --noise and --tried-rooms.", file=sys.stderr)
    noise_voices = Voices(NOISE_VOICES, learnt)
    noise = _sounds((*sources.noise, *sources.music), noise_voices, encoder, workdir, jobs)
    if sources.tried_noise and noise is not None:
        noise = join([noise, *_tried(sources.tried_noise, encoder, workdir, jobs)])
    plain = _sounds(sources.plain, voices, encoder, workdir, jobs)
    data = Data(
        examples=join([examples for _, examples in kept] + ([plain] if plain is not None else [])),
        encoder=encoder,
        test_only=join(unseen) if unseen else None,
        trials=trials,
        noise=noise,
        plain=plain,
    )
    return data, [corpus for corpus, _ in kept]


def _check_unseen(learnt: Iterable[Corpus], test_only: Iterable[Corpus]) -> None:
    """Raise CorpusError if a recording that only tests is learnt from, whatever its name is."""
    known = {_digest(clip): clip.path for corpus in learnt for clip in corpus.clips}
    for corpus in test_only:
        for clip in corpus.clips:
            if (same := known.get(_digest(clip))) is not None:
                raise CorpusError(
                    f"{clip.path} of --test-only is the same file as {same}, which is learnt from; "
                    "leave it out of one"
                )


def _digest(clip: Clip) -> bytes:
    return hashlib.sha256(clip.path.read_bytes()).digest()


def check_folds(sources: Sources) -> None:
    """Raise CorpusError, before anything long begins, if a fold would test nobody."""
    corpus = corpora(sources)[0]
    for fold in range(1, COUNT + 1):
        if not speakers_tested(corpus.clips, fold):
            raise CorpusError(
                f"{corpus.name} has none of the speakers that fold {fold} of {COUNT} tests; "
                "give the whole corpus"
            )


def _check_sounds(sources: Sources) -> None:
    """Raise CorpusError, before anything long begins, for a folder of sounds that is amiss."""
    for folder in (*sources.noise, *sources.music, *sources.tried_noise, *sources.plain):
        sounds.load(folder, folder.name)
    if sources.tried_noise and not (sources.noise or sources.music):
        raise CorpusError("--tried-noise tests the speech gate, which learns from --noise")


def _sounds(
    folders: tuple[Path, ...], voices: Voices, encoder: Encoder, workdir: Path, jobs: int
) -> Examples | None:
    if not folders:
        return None
    under = frozenset(voices.around.noises)
    loaded = [sounds.load(folder, folder.resolve().name, under) for folder in folders]
    examples = join([stored(corpus, voices, encoder, workdir, jobs)[1] for corpus in loaded])
    if any(not held_out(examples, fold).size for fold in range(1, COUNT + 1)):
        raise CorpusError(
            f"{', '.join(map(str, folders))} hold {len(examples.clips)} recording(s), too few for "
            f"each of {COUNT} folds to test utterances in some; add others"
        )
    return examples


def _tried(
    folders: tuple[Path, ...], encoder: Encoder, workdir: Path, jobs: int
) -> Iterator[Examples]:
    """Sounds that only test, as recorded."""
    for folder in folders:
        corpus = sounds.load(folder, folder.resolve().name)
        clips = tuple(replace(clip, is_learnt=False) for clip in corpus.clips)
        yield stored(replace(corpus, clips=clips), Voices(), encoder, workdir, jobs)[1]


def _names(sources: Sources) -> list[str]:
    folders = (*sources.noise, *sources.music, *sources.tried_noise, *sources.plain)
    return [
        *(folder.resolve().name for folder in folders),
        *(path.resolve().parent.name for path in sources.test_only),
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
