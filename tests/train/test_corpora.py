import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora import CorpusError, ravdess


@pytest.fixture
def published(tmp_path: Path, speech: NDArray[np.int16]) -> Path:
    """The publishers' layout: WAV at 48 kHz in folders of actors, one file stereo."""
    for number, name in enumerate(("03-01-05-02-01-02-07", "03-01-01-01-02-01-08")):
        folder = tmp_path / f"Actor_{name[-2:]}"
        folder.mkdir()
        sound = np.repeat(speech[number * 64_000 :][:64_000], 3)
        stereo = np.stack([sound, sound], axis=1) if number else sound
        soundfile.write(folder / f"{name}.wav", stereo, 48_000)
    return tmp_path


def test_labels_come_from_the_file_name(published: Path) -> None:
    angry, neutral = ravdess(published).clips
    assert EMOTIONS[angry.emotion] == "angry"
    assert (angry.intensity, angry.sentence, angry.repetition, angry.actor) == (2, 1, 2, 7)
    assert (EMOTIONS[neutral.emotion], neutral.actor) == ("neutral", 8)


def test_the_same_recording_under_two_names_is_kept_once_and_reported(published: Path) -> None:
    first = published / "Actor_07" / "03-01-05-02-01-02-07.wav"
    second = published / "Actor_07" / "03-01-06-02-01-02-07.wav"
    shutil.copy(first, second)
    corpus = ravdess(published)
    assert len(corpus.clips) == 2
    assert corpus.duplicates == ((second, first),)
    assert "left out 03-01-06-02-01-02-07.wav: the same recording as" in corpus.report()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("03-01-09-01-01-01-07", "names an emotion, intensity or actor that does not exist"),
        ("03-01-05-01-01-01-25", "names an emotion, intensity or actor that does not exist"),
        ("03-01-05-01-01-07", "does not have seven numbers in its name"),
    ],
)
def test_a_file_whose_name_makes_no_sense_is_reported(name: str, why: str, published: Path) -> None:
    shutil.copy(
        published / "Actor_07" / "03-01-05-02-01-02-07.wav", published / "Actor_07" / f"{name}.wav"
    )
    corpus = ravdess(published)
    assert len(corpus.clips) == 2
    assert why in corpus.report()


def test_an_unreadable_file_is_reported(published: Path) -> None:
    (published / "Actor_07" / "03-01-05-01-01-01-07.wav").write_text("no audio")
    ((path, why),) = ravdess(published).unreadable
    assert path.name == "03-01-05-01-01-01-07.wav"
    assert "is not audio that can be read" in why


def test_song_and_other_files_are_passed_over(published: Path) -> None:
    (published / "Actor_07" / "03-02-05-01-01-01-07.wav").write_text("song")
    (published / "Actor_07" / "notes.txt").write_text("")
    assert len(ravdess(published).clips) == 2


def test_a_folder_without_ravdess_is_an_error_that_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no RAVDESS speech; it must contain Actor_01"):
        ravdess(tmp_path)


def test_real_actors_have_sixty_clips_each(few_actors: Path) -> None:
    corpus = ravdess(few_actors)
    assert Counter(clip.actor for clip in corpus.clips) == dict.fromkeys((1, 2, 3, 4, 11), 60)
    assert corpus.unreadable == ()
    assert corpus.duplicates == ()
