"""The recordings of `affectd demo`, chosen by what listeners heard and not by what networks say.

CREMA-D has the votes of people who heard only the voice. Eligible are clips whose acted emotion
they recognised, and that the daemon's segmenter keeps whole: one utterance, shorter than 3 s.

- Speakers: two women and two men, those with the most emotions recognised; then with the most
  clips recognised; then with the highest sum of levels, how intense listeners found the clips.
  Where an emotion has fewer than two eligible clips, a third woman and then a third man are added.
- Clips: two of each emotion, those with the highest level; at most four of one speaker, where
  that is possible.
- Sentences: the two that need the fewest speakers; then those whose twelve clips have the highest
  mean level. IEO is never one of them: it alone was acted at several intensities.

The networks do not learn from these speakers and sentences (`affectd.train.corpora.kept_out`). A
second recording has other clips of the same speakers, for the node to hear before.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.vad import RATE_HZ
from affectd.train import joined
from affectd.train.corpora import kept_out, layouts
from affectd.train.corpora.corpus import Clip, CorpusError
from affectd.train.corpora.listeners import Vote, voice_votes

# Those of CREMA-D, in the order in which the demo plays them.
ACTED: Final = ("neutral", "happy", "sad", "angry", "fearful", "disgusted")
EACH: Final = 2  # clips of an emotion
FEWEST_SPEAKERS, MOST_SPEAKERS = 4, 6
MOST_OF_ONE: Final = 4  # clips of one speaker
LEVELLED: Final = "IEO"


@dataclass(frozen=True, slots=True)
class RatedClip:
    """A clip of CREMA-D, and what most of those who heard only the voice recognised."""

    clip: Clip
    vote: Vote

    @property
    def name(self) -> str:
        """Such as `1001_DFA_ANG_XX`."""
        return self.clip.path.stem

    @property
    def speaker(self) -> str:
        """Such as `1001`."""
        return self.name.split("_")[0]

    @property
    def sentence(self) -> str:
        """Such as `DFA`."""
        return self.name.split("_")[1]

    @property
    def emotion(self) -> str:
        """The acted emotion, one of ACTED."""
        return EMOTIONS[self.clip.emotion]

    @property
    def is_recognised(self) -> bool:
        """Whether the acted emotion alone had the most votes."""
        return self.vote.emotions == (self.emotion,)


@dataclass(frozen=True, slots=True)
class Choice:
    """The clips that the demo plays, in this order; their speakers and sentences."""

    sentences: tuple[str, ...]
    speakers: tuple[str, ...]
    clips: tuple[RatedClip, ...]

    @property
    def level(self) -> float:
        """Mean level of the clips' votes, 0..100."""
        return fmean(clip.vote.level for clip in self.clips)

    def report(self) -> str:
        """The choice in a few lines, with the levels."""
        lines = [f"sentences {', '.join(self.sentences)}; speakers {', '.join(self.speakers)}"]
        lines += [f"  {c.name}  {c.emotion:9}  {c.vote.level:3.0f}" for c in self.clips]
        return "\n".join(lines)


def make(cremad: Path, to: Path) -> Choice:
    """Choose the clips, and write the recordings, their times and their attribution.

    cremad: the folder of CREMA-D, with the table of votes. Raises CorpusError if clips or votes are
    missing, or if a speaker or sentence of the choice is not kept out of training.
    """
    rated = load(cremad)
    choice = choose([clip for clip in rated if clip.is_recognised and is_whole(clip)])
    _check_kept_out(choice)
    before = choose_before(choice, rated, is_whole)
    if not before:
        raise CorpusError(
            f"speakers {', '.join(choice.speakers)} say nothing in {cremad} but the sentences "
            f"{', '.join(choice.sentences)}, so that nothing can be played before; "
            "give all of CREMA-D"
        )
    to.mkdir(parents=True, exist_ok=True)
    spans_s = joined.write(to / "recording.ogg", list(map(_samples, choice.clips))).spans_s
    joined.write(to / "before.ogg", list(map(_samples, before)))
    spoken = [_spoken(clip, *span) for clip, span in zip(choice.clips, spans_s, strict=True)]
    (to / "recording.json").write_text(json.dumps(spoken, indent=2) + "\n")
    (to / "ATTRIBUTION.md").write_text(attribution(choice, before))
    return choice


def load(cremad: Path) -> list[RatedClip]:
    """All clips with votes. Raises CorpusError if there are none."""
    votes = voice_votes(cremad)
    clips = layouts.load("cremad", cremad).clips
    rated = [RatedClip(clip, votes[clip.path.stem]) for clip in clips if clip.path.stem in votes]
    if not rated:
        raise CorpusError(
            f"{cremad} holds no votes of listeners for its {len(clips)} clips; "
            "`affectd train fetch cremad` fetches both"
        )
    return rated


def _check_kept_out(choice: Choice) -> None:
    speakers = set(choice.speakers) - kept_out.KEPT_OUT_SPEAKERS
    sentences = set(choice.sentences) - kept_out.KEPT_OUT_SENTENCES
    if speakers or sentences:
        raise CorpusError(
            f"the networks learn from {', '.join(sorted(speakers | sentences))}; name the speakers "
            f"{', '.join(choice.speakers)} and the sentences {', '.join(choice.sentences)} in "
            "train/corpora/kept_out.py, and train again"
        )


def choose(eligible: Sequence[RatedClip]) -> Choice:
    """The demo's clips by the rule above, among clips that are recognised and whole.

    Raises CorpusError if no two sentences have EACH clips of every emotion.
    """
    sentences = sorted({clip.sentence for clip in eligible} - {LEVELLED})
    choices = [
        choice
        for pair in combinations(sentences, 2)
        if (choice := _choose_of(pair, [c for c in eligible if c.sentence in pair])) is not None
    ]
    if not choices:
        raise CorpusError(
            f"no two sentences have {EACH} recognised clips of each of {', '.join(ACTED)} by "
            f"{MOST_SPEAKERS} speakers, among {len(eligible)} such clips; give all of CREMA-D"
        )
    return min(choices, key=lambda choice: (len(choice.speakers), -choice.level))


def _choose_of(sentences: tuple[str, ...], eligible: Sequence[RatedClip]) -> Choice | None:
    ranked = rank_speakers(eligible)
    for count in range(FEWEST_SPEAKERS, MOST_SPEAKERS + 1):
        speakers = ranked[:count]
        clips = _most_intense([clip for clip in eligible if clip.speaker in speakers])
        if clips is not None:
            return Choice(sentences, tuple(sorted(speakers)), clips)
    return None


def rank_speakers(eligible: Sequence[RatedClip]) -> list[str]:
    """Women and men in turn, in each gender those with the most emotions recognised first."""

    def merit(speaker: str) -> tuple[int, int, float, str]:
        own = [clip for clip in eligible if clip.speaker == speaker]
        emotions = {clip.emotion for clip in own}
        return -len(emotions), -len(own), -sum(clip.vote.level for clip in own), speaker

    women, men = (
        sorted({one.speaker for one in eligible if one.clip.gender == gender}, key=merit)
        for gender in ("f", "m")
    )
    return [speaker for pair in zip(women, men, strict=False) for speaker in pair]


def _most_intense(eligible: Sequence[RatedClip]) -> tuple[RatedClip, ...] | None:
    """EACH clips of every emotion, all firsts before all seconds; None if there are too few."""
    in_order = sorted(eligible, key=lambda clip: (-clip.vote.level, clip.name))
    ranked = {acted: [clip for clip in in_order if clip.emotion == acted] for acted in ACTED}
    if min(map(len, ranked.values())) < EACH:
        return None
    taken: dict[str, list[RatedClip]] = {acted: [] for acted in ACTED}
    spoken: Counter[str] = Counter()
    # An emotion with few clips depends most on a certain speaker, so it chooses first.
    for acted in sorted(ACTED, key=lambda acted: len(ranked[acted])):
        for _ in range(EACH):
            left = [clip for clip in ranked[acted] if clip not in taken[acted]]
            clip = next((clip for clip in left if spoken[clip.speaker] < MOST_OF_ONE), left[0])
            taken[acted].append(clip)
            spoken[clip.speaker] += 1
    return tuple(taken[acted][number] for number, acted in product(range(EACH), ACTED))


def choose_before(
    choice: Choice, rated: Sequence[RatedClip], is_usable: Callable[[RatedClip], bool]
) -> list[RatedClip]:
    """One more clip of each speaker in each emotion, recognised or not, to be played before.

    The sentences are those that are not in the choice, in turn. An emotion is left out where a
    speaker has no usable clip of it.
    """
    others = sorted({clip.sentence for clip in rated} - set(choice.sentences))
    before: list[RatedClip] = []
    for number, (emotion, speaker) in enumerate(product(ACTED, choice.speakers)):
        first = number % max(1, len(others))
        wanted = [(speaker, sentence, emotion) for sentence in others[first:] + others[:first]]
        own = [clip for clip in rated if (clip.speaker, clip.sentence, clip.emotion) in wanted]
        own.sort(key=lambda clip: (wanted.index((speaker, clip.sentence, emotion)), clip.name))
        before += islice(filter(is_usable, own), 1)
    return before


def is_whole(clip: RatedClip) -> bool:
    """Whether the segmenter keeps a clip whole."""
    return joined.is_whole(_samples(clip))


def _samples(clip: RatedClip) -> NDArray[np.int16]:
    return Recording(clip.clip.path).samples()


def _spoken(clip: RatedClip, start_s: float, end_s: float) -> dict[str, object]:
    return {
        "start_s": start_s,
        "end_s": end_s,
        "emotion": clip.emotion,
        "voice": f"CREMA-D {clip.speaker}",
        "clip": clip.name,
    }


def attribution(choice: Choice, before: Sequence[RatedClip]) -> str:
    """The page beside the recordings: source, licence, clips, how they were chosen and cut."""
    rows = [f"| {one.name} | {one.emotion} | {one.vote.level:.0f} |" for one in choice.clips]
    return ATTRIBUTION.format(
        rows="\n".join(rows),
        before="\n".join(f"- {clip.name}" for clip in before),
        speakers=", ".join(choice.speakers),
        sentences=" and ".join(choice.sentences),
        kbit=joined.BITRATE // 1000,
        gap_s=joined.GAP / RATE_HZ,
    )


ATTRIBUTION: Final = """\
# The demo recordings

`affectd demo` plays two recordings, both made from clips of CREMA-D by `affectd train demo`:

- `recording.ogg` joins twelve clips, two of each of the six emotions of CREMA-D; `recording.json`
  says when each begins and ends, who speaks, and which emotion was acted.
- `before.ogg` joins other clips of the same speakers. The node hears them first, without showing
  a reading, as the voices of a house are not new to a node there.

The default networks have not learnt from these speakers ({speakers}),
nor from any recording of the two sentences of the twelve clips ({sentences}).

## How the clips were chosen

For CREMA-D, people listened to the voice of every clip, without the picture, and said which emotion
they recognised and how intense it was. A clip was eligible if the acted emotion had the most votes,
and if affectd makes one utterance of it. For any two sentences (except IEO), the rule takes the two
women and two men in whom listeners recognised the most emotions, and then the two most intense
clips of each emotion, at most four of one speaker. It keeps the two sentences whose twelve clips
are the most intense. It looks at nothing that networks say. `train/demo.py` has the whole rule.

| clip | acted | intensity, of 100 |
| --- | --- | --- |
{rows}

The clips of `before.ogg` are one of each speaker in each emotion, where affectd makes one utterance
of it, in other sentences in turn, whether listeners recognised the emotion or not:

{before}

## How they were changed

The clips are whole and at their own level, mono at 16 kHz. After each come {gap_s:g} s of steady
noise like the background of the clips. They were taken from a copy in Opus, and encoded anew in
Ogg Opus at about {kbit} kbit/s.

## Source and licence

Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014), *CREMA-D: Crowd-sourced Emotional
Multimodal Actors Dataset*, IEEE Transactions on Affective Computing 5(4), 377-390,
https://doi.org/10.1109/TAFFC.2014.2336244, https://github.com/CheyneyComputerScience/CREMA-D.

The database is made available under the Open Database License (ODbL) 1.0,
http://opendatacommons.org/licenses/odbl/1.0/, and its contents under the Database Contents License
(DbCL) 1.0, http://opendatacommons.org/licenses/dbcl/1.0/. Both apply to these recordings as well.
"""
