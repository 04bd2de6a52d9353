from pathlib import Path

import numpy as np
import pytest

from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train import sounds
from affectd.train.conditions import Voices
from affectd.train.corpora import layouts
from affectd.train.examples import Examples, extract

# Two of them are test actors of the first fold.
ACTORS = (1, 2, 3, 4, 11)


@pytest.fixture(scope="session")
def few_actors(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real RAVDESS with a few of its actors."""
    root = tmp_path_factory.mktemp("ravdess")
    for actor in ACTORS:
        (root / f"Actor_{actor:02}").symlink_to(ravdess_root / f"Actor_{actor:02}")
    return root


@pytest.fixture(scope="session")
def examples(few_actors: Path) -> Examples:
    """Every actor as recorded and by one virtual voice."""
    corpus = layouts.load("ravdess", few_actors)
    return extract(corpus, Voices(2), FeatureSpec(), jobs=2)[1]


@pytest.fixture(scope="session")
def rows(examples: Examples) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """All utterances as recorded."""
    return np.flatnonzero(examples.condition == 0)


@pytest.fixture(scope="session")
def few_noises(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real sounds that pass the voice detector and are no speech."""
    root = tmp_path_factory.mktemp("noise") / "sounds"
    root.mkdir()
    (root / "chainsaw").symlink_to(ravdess_root.parent / "noise" / "esc10" / "chainsaw")
    return root


@pytest.fixture(scope="session")
def noise(few_noises: Path) -> Examples:
    """Utterances that are no speech."""
    return extract(sounds.load(few_noises, "sounds"), Voices(1), FeatureSpec(), jobs=2)[1]
