import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from affectd.daemon.capture.recording import Recording
from affectd.daemon.speech.ear import Ear
from affectd.daemon.speech.segmenter import SegmenterSpec
from affectd.daemon.speech.vad import DEFAULT_MODE
from affectd.train import examples as module
from affectd.train.conditions import Voices
from affectd.train.corpora import layouts
from affectd.train.corpora.corpus import Corpus, CorpusError
from affectd.train.encoder import Encoder, frames_of
from affectd.train.examples import SPEC, Examples, digest, extract, join, statistics, stored
from tests.train import made


@pytest.fixture
def copied(few_actors: Path, tmp_path: Path) -> Path:
    """The first actor's recordings, where they may be damaged."""
    folder = tmp_path / "Actor_01"
    folder.mkdir()
    for path in (few_actors / "Actor_01").iterdir():
        samples, rate = soundfile.read(path)
        soundfile.write(folder / path.name, samples, rate)
    return tmp_path


def few(root: Path, clips: int = 4) -> Corpus:
    """Some clips alone, where all would take long."""
    corpus = layouts.load("ravdess", root)
    return replace(corpus, clips=corpus.clips[:clips])


def test_what_is_learnt_is_what_the_daemon_hears(few_actors: Path, encoder: Encoder) -> None:
    corpus, examples = extract(few(few_actors), Voices(1), encoder, jobs=1)
    rows = iter(range(len(examples.clip)))
    for number, clip in enumerate(corpus.clips):
        ear = Ear(SPEC, SegmenterSpec(), DEFAULT_MODE)
        for heard in ear.listen([Recording(clip.path).samples()]):
            row = next(rows)
            assert examples.clip[row] == number
            assert examples.count[row] == frames_of(heard.frames)
            expected = encoder(heard.features, heard.frames)[: examples.count[row]]
            frames = examples.frames[row, : examples.count[row]]
            np.testing.assert_allclose(frames, expected, atol=5e-3)
    assert next(rows, None) is None


def test_spectra_are_means_of_four_frames_of_mfccs(few_actors: Path, encoder: Encoder) -> None:
    corpus, examples = extract(few(few_actors, 1), Voices(1), encoder, jobs=1)
    (heard,) = Ear(SPEC, SegmenterSpec(), DEFAULT_MODE).listen(
        [Recording(corpus.clips[0].path).samples()]
    )
    expected = [
        heard.features[start : min(start + 4, heard.frames)].mean(axis=0)
        for start in range(0, heard.frames, 4)
    ]
    np.testing.assert_allclose(examples.spectra[0, : len(expected)], expected, atol=0.3, rtol=1e-3)
    assert heard.frames % 4, "the last of them has fewer than four"


def test_without_the_encoder_the_networks_read_no_padding(examples: Examples) -> None:
    spectral = examples.spectral()
    assert spectral.frames.shape == (*examples.frames.shape[:2], examples.spectra.shape[2])
    for row, count in enumerate(spectral.count):
        assert spectral.frames[row, count - 1].any(), f"frame {count - 1} of {row} is padding"
        assert not spectral.frames[row, count:].any()


def test_the_same_recording_under_two_names_is_kept_once_and_reported(
    copied: Path, encoder: Encoder
) -> None:
    first = copied / "Actor_01" / "03-01-05-01-01-01-01.flac"
    second = copied / "Actor_01" / "03-01-06-01-01-01-01.flac"
    second.write_bytes(first.read_bytes())
    corpus, examples = extract(layouts.load("ravdess", copied), Voices(1), encoder, jobs=1)
    assert len(corpus.clips) == len(examples.clips) == 59
    assert "03-01-06-01-01-01-01.flac: the same recording as" in corpus.report()


def test_a_damaged_recording_is_left_out_and_reported(copied: Path, encoder: Encoder) -> None:
    (copied / "Actor_01" / "03-01-05-01-01-01-01.flac").write_text("no audio")
    corpus, _ = extract(layouts.load("ravdess", copied), Voices(1), encoder, jobs=1)
    assert len(corpus.clips) == 59
    assert "is not audio that can be read" in corpus.report()


def test_a_corpus_with_more_than_a_tenth_damaged_is_refused(copied: Path, encoder: Encoder) -> None:
    for path in sorted((copied / "Actor_01").iterdir())[:8]:
        path.write_text("no audio")
    with pytest.raises(CorpusError, match=r"8 of 60 files had to be left out \(13%, at most 10%"):
        extract(layouts.load("ravdess", copied), Voices(1), encoder, jobs=1)


def test_a_corpus_in_which_nobody_speaks_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "Actor_01").mkdir()
    soundfile.write(tmp_path / "Actor_01/03-01-05-01-01-01-01.wav", np.zeros(48_000), 16_000)
    with pytest.raises(CorpusError, match="no speech is heard in its 1 clips; an utterance has"):
        extract(layouts.load("ravdess", tmp_path), Voices(1), encoder, jobs=1)


def test_statistics_are_those_of_the_rows_speech_alone(
    examples: Examples, rows: NDArray[np.int64]
) -> None:
    spoilt = examples.frames.copy()
    spoilt[rows[100:]] = 1e4
    for row in rows[:100]:
        spoilt[row, examples.count[row] :] = 1e4
    frames = np.concatenate([examples.frames[row, : examples.count[row]] for row in rows[:100]])
    measured = statistics(replace(examples, frames=spoilt), rows[:100])
    np.testing.assert_allclose(measured.mean, frames.astype(float).mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(measured.std, frames.astype(float).std(axis=0), rtol=1e-3)


def test_what_was_extracted_once_is_found_again(
    few_actors: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = few(few_actors)
    _, first = stored(corpus, Voices(1), encoder, tmp_path, 1)
    monkeypatch.delattr(module, "extract")
    _, again = stored(corpus, Voices(1), encoder, tmp_path, 1)
    np.testing.assert_array_equal(again.frames, first.frames)
    np.testing.assert_array_equal(again.spectra, first.spectra)


def test_what_was_extracted_is_found_by_the_recordings_and_not_by_their_times(
    copied: Path, encoder: Encoder, tmp_path: Path
) -> None:
    corpus = few(copied, 1)
    stored(corpus, Voices(1), encoder, tmp_path, 1)
    (path,) = (clip.path for clip in corpus.clips)
    os.utime(path, (0, 0))
    stored(corpus, Voices(1), encoder, tmp_path, 1)
    assert len(list(tmp_path.glob("examples-*.joblib"))) == 1
    samples, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * samples, rate)
    stored(corpus, Voices(1), encoder, tmp_path, 1)
    assert len(list(tmp_path.glob("examples-*.joblib"))) == 2


def test_labels_may_change_without_another_extraction(
    few_actors: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = few(few_actors)
    stored(corpus, Voices(1), encoder, tmp_path, 1)
    monkeypatch.delattr(module, "extract")
    relabelled = tuple(replace(c, heard=(3,), is_learnt=False, emotion=7) for c in corpus.clips)
    kept, examples = stored(replace(corpus, clips=relabelled), Voices(1), encoder, tmp_path, 1)
    assert kept.clips == examples.clips == relabelled
    assert not examples.is_learnt.any()
    assert set(examples.emotion) == {7}


def test_other_voices_and_another_encoder_are_extracted_anew(
    few_actors: Path, encoder: Encoder, tmp_path: Path
) -> None:
    corpus = few(few_actors, 1)
    stored(corpus, Voices(1), encoder, tmp_path, 1)
    _, more = stored(corpus, Voices(2), encoder, tmp_path, 1)
    stored(corpus, Voices(1), replace(encoder, sha256="another"), tmp_path, 1)
    assert set(more.condition) == {0, 1}
    assert len(list(tmp_path.glob("examples-*.joblib"))) == 3


def test_the_segmenter_report_counts_clips_as_recorded() -> None:
    examples = made.corpus("home", ["home_a"], (0, 2, 4), voices=3)
    heard = np.flatnonzero(examples.clip > 0)
    twice = np.append(heard, heard[0])
    fewer = replace(
        examples,
        frames=examples.frames[twice],
        count=examples.count[twice],
        clip=examples.clip[twice],
        condition=examples.condition[twice],
    )
    assert fewer.report() == (
        "3 utterances: 1 clips gave one, 1 gave more, 1 gave none; 4 more of virtual voices"
    )


def test_joined_corpora_keep_their_labels() -> None:
    one, two = made.corpus("home", ["home_a"], (0, 4)), made.corpus("away", ["away_a"], (7,))
    both = join([one, two])
    assert both.emotion.tolist() == [0, 0, 4, 4, 7, 7]
    assert both.corpus.tolist() == ["home"] * 4 + ["away"] * 2
    assert both.speaker.tolist() == ["home_a"] * 4 + ["away_a"] * 2
    np.testing.assert_array_equal(both.frames[4:], two.frames)
    np.testing.assert_array_equal(both.spectra[:4], one.spectra)
    assert len(both.seconds) == len(both.clips) == 3


def test_a_digest_tells_other_examples_apart() -> None:
    one = made.ravdess()
    others = [
        replace(one, clips=one.clips[1:]),
        made.relabelled(one, is_learnt=False),
        made.spoilt(one, np.ones(len(one.clip), bool)),
    ]
    assert digest(one) == digest(one, None)
    assert len({digest(examples) for examples in (one, *others)}) == 4
    assert digest(one, others[0]) != digest(others[0], one)
