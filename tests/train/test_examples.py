from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.daemon.speech.mfcc import FeatureSpec
from affectd.train import examples as module
from affectd.train.conditions import Voices
from affectd.train.corpora import layouts
from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples, extract, statistics, stored

SPEC = FeatureSpec()


@pytest.fixture
def copied(few_actors: Path, tmp_path: Path) -> Path:
    """The first actor's recordings, where they may be damaged."""
    folder = tmp_path / "Actor_01"
    folder.mkdir()
    for path in (few_actors / "Actor_01").iterdir():
        samples, rate = soundfile.read(path)
        soundfile.write(folder / path.name, samples, rate)
    return tmp_path


def test_the_same_recording_under_two_names_is_kept_once_and_reported(copied: Path) -> None:
    first = copied / "Actor_01" / "03-01-05-01-01-01-01.flac"
    second = copied / "Actor_01" / "03-01-06-01-01-01-01.flac"
    second.write_bytes(first.read_bytes())
    corpus, examples = extract(layouts.load("ravdess", copied), Voices(1), SPEC, jobs=1)
    assert len(corpus.clips) == len(examples.clips) == 59
    assert "03-01-06-01-01-01-01.flac: the same recording as" in corpus.report()


def test_a_damaged_recording_is_left_out_and_reported(copied: Path) -> None:
    (copied / "Actor_01" / "03-01-05-01-01-01-01.flac").write_text("no audio")
    corpus, _ = extract(layouts.load("ravdess", copied), Voices(1), SPEC, jobs=1)
    assert len(corpus.clips) == 59
    assert "is not audio that can be read" in corpus.report()


def test_a_corpus_with_more_than_a_tenth_damaged_is_refused(copied: Path) -> None:
    for path in sorted((copied / "Actor_01").iterdir())[:8]:
        path.write_text("no audio")
    with pytest.raises(CorpusError, match=r"8 of 60 files had to be left out \(13%, at most 10%"):
        extract(layouts.load("ravdess", copied), Voices(1), SPEC, jobs=1)


def test_statistics_are_those_of_the_rows_speech_alone(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    spoilt = examples.features.copy()
    spoilt[rows[100:]] = 1e6
    for row in rows[:100]:
        spoilt[row, examples.frames[row] :] = 1e6
    frames = [examples.features[row, : examples.frames[row]] for row in rows[:100]]
    measured = statistics(replace(examples, features=spoilt), rows[:100])
    np.testing.assert_allclose(measured.mean, np.concatenate(frames).mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(measured.std, np.concatenate(frames).std(axis=0), rtol=1e-3)


def test_what_was_extracted_once_is_found_again(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = layouts.load("ravdess", copied)
    _, first = stored(corpus, Voices(1), tmp_path, 1)
    monkeypatch.delattr(module, "extract")
    _, again = stored(corpus, Voices(1), tmp_path, 1)
    np.testing.assert_array_equal(again.features, first.features)


def test_other_voices_are_extracted_anew(copied: Path, tmp_path: Path) -> None:
    corpus = layouts.load("ravdess", copied)
    stored(corpus, Voices(1), tmp_path, 1)
    _, more = stored(corpus, Voices(2), tmp_path, 1)
    assert set(more.condition) == {0, 1}


def test_the_segmenter_report_counts_clips_as_recorded(examples: Examples) -> None:
    assert "clips gave one" in examples.report()
    assert len(examples.clips) == 300
