"""Made-up examples, of any corpora and speakers, that networks learn from within seconds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train.corpora.corpus import Clip
from affectd.train.encoder import Encoder, shapes
from affectd.train.examples import Examples, join
from affectd.train.recipe import Recipe

TIME, WIDTH = 75, 8  # frames, and coefficients of each
TINY = Recipe(steps=3, batch=8, width=8, units=4, attention=4, members=1)
NO_ENCODER = Encoder(Path("made-up.tflite"), "0" * 64)  # made-up examples came out of none
EVERY = tuple(range(len(EMOTIONS)))


def corpus(
    name: str,
    speakers: Sequence[str],
    emotions: Sequence[int] = EVERY,
    clips: int = 1,
    voices: int = 2,
) -> Examples:
    """Some clips of each emotion by each speaker, as recorded and by virtual voices.

    Its frames are noise around a mean that depends on the emotion and on the speaker.
    """
    random = np.random.default_rng([len(speakers), *name.encode()])
    made = tuple(
        Clip(
            path=Path(f"{name}/{speaker}_{EMOTIONS[emotion]}_{take}.wav"),
            corpus=name,
            speaker=speaker,
            emotion=emotion,
            gender="fm"[number % 2],
            intensity=("normal", "strong")[take % 2],
        )
        for number, speaker in enumerate(speakers)
        for emotion in emotions
        for take in range(clips)
    )
    n = len(made) * voices
    clip = np.repeat(np.arange(len(made)), voices)
    of_emotion = 2 * np.random.default_rng(0).normal(size=(len(EMOTIONS), WIDTH))
    of_speaker = random.normal(size=(len(speakers), WIDTH))
    means = of_emotion[[one.emotion for one in made]]
    means += of_speaker[[speakers.index(one.speaker) for one in made]]
    frames = random.normal(size=(n, TIME, WIDTH)) + means[clip][:, None]
    count = random.integers(20, TIME + 1, n)
    frames[np.arange(TIME) >= count[:, None]] = 0
    return Examples(
        frames=frames.astype(np.float16),
        spectra=frames.astype(np.float16),
        count=count,
        clip=clip,
        condition=np.tile(np.arange(voices), len(made)),
        clips=made,
        seconds=np.full(len(made), 3.0 * voices),
    )


def actors(*numbers: int) -> list[str]:
    return [f"ravdess_{number:02}" for number in numbers]


def ravdess(clips: int = 1, voices: int = 2) -> Examples:
    """Twenty-four actors and eight emotions."""
    return corpus("ravdess", actors(*range(1, 25)), clips=clips, voices=voices)


def several() -> Examples:
    """Speech and song of the same actors, and two other corpora that have fewer emotions."""
    return join(
        [
            ravdess(),
            corpus("ravdess_song", actors(*range(1, 24)), (0, 1, 2, 3, 4, 5)),
            corpus("nemo", [f"nemo_{n}" for n in "abc"], (0, 2, 3, 4, 5, 7)),
            corpus("home", [f"home_{n}" for n in "abcd"], (0, 2, 3, 4)),
        ]
    )


def relabelled(examples: Examples, **changes: object) -> Examples:
    """The same utterances with every clip changed."""
    clips = tuple(replace(clip, **changes) for clip in examples.clips)  # type: ignore[arg-type]
    return replace(examples, clips=clips)


def spoilt(examples: Examples, rows: NDArray[np.bool_]) -> Examples:
    """Some rows replaced by nonsense: frames, spectra and lengths."""
    frames, spectra, count = examples.frames.copy(), examples.spectra.copy(), examples.count.copy()
    frames[rows], spectra[rows], count[rows] = 1e4, -1e4, TIME
    return replace(examples, frames=frames, spectra=spectra, count=count)


def encoder_weights(blocks: int) -> dict[str, NDArray[np.float32]]:
    """Random weights with the shapes of the speech encoder's."""
    random = np.random.default_rng(0)

    def array(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        values = random.normal(size=shape)
        scale = 0.1 if len(shape) == 1 or name == "positions" else np.prod(shape[1:]) ** -0.5
        return np.asarray(values * scale + name.endswith("gamma"), np.float32)

    return {name: array(name, shape) for name, shape in shapes(FeatureSpec(), blocks).items()}
