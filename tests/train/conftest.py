from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.daemon.emotion.bundle import DEFAULT
from affectd.train import rooms, sounds
from affectd.train.conditions import Voices
from affectd.train.corpora import layouts
from affectd.train.encoder import Encoder
from affectd.train.examples import Examples, extract
from affectd.train.fits import Data
from tests.train import made

# Two of them are test actors of the first fold.
ACTORS = (1, 2, 3, 4, 11)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The encoder that is shipped."""
    path = DEFAULT / "encoder.tflite"
    return Encoder(path, sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights with the shapes of the speech encoder's."""
    path = tmp_path_factory.mktemp("weights") / "encoder.npz"
    np.savez(path, **made.encoder_weights(3))
    return path


@pytest.fixture(scope="session")
def few_actors(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real RAVDESS with a few of its actors."""
    root = tmp_path_factory.mktemp("ravdess")
    for actor in ACTORS:
        (root / f"Actor_{actor:02}").symlink_to(ravdess_root / f"Actor_{actor:02}")
    return root


@pytest.fixture(scope="session")
def examples(few_actors: Path, encoder: Encoder) -> Examples:
    """Every actor as recorded and by one virtual voice."""
    corpus = layouts.load("ravdess", few_actors)
    return extract(corpus, Voices(2), encoder, jobs=2)[1]


@pytest.fixture(scope="session")
def rows(examples: Examples) -> NDArray[np.int64]:
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
def noise(few_noises: Path, encoder: Encoder) -> Examples:
    """Utterances that are no speech."""
    return extract(sounds.load(few_noises, "sounds"), Voices(1), encoder, jobs=2)[1]


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A few synthesised rooms."""
    return rooms.synthesise(tmp_path_factory.mktemp("rooms"), count=3)


@pytest.fixture
def few_boxes(boxes: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let data be gathered with a few synthesised rooms, as making all of them takes long."""
    monkeypatch.setattr(rooms, "synthesise", lambda _folder: boxes)


@pytest.fixture(scope="session")
def made_up() -> Data:
    """Made-up examples of several corpora, and of one that only tests."""
    away = made.corpus("away", ["away_a", "away_b"], (0, 3, 4), voices=1)
    return Data(made.several(), made.NO_ENCODER, test_only=away)
