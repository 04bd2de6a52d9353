from dataclasses import replace

import numpy as np
import pytest

from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples
from affectd.train.folds import COUNT, EMOBOX, speakers_tested, split


def renamed(examples: Examples, corpus: str) -> Examples:
    """The same clips as of another corpus."""
    clips = tuple(
        replace(clip, corpus=corpus, speaker=clip.speaker.replace("ravdess", corpus))
        for clip in examples.clips
    )
    return replace(examples, clips=clips)


def test_every_actor_is_tested_in_one_fold() -> None:
    assert sorted(actor for fold in EMOBOX for actor in fold) == list(range(1, 25))


@pytest.mark.parametrize("seed", range(5))
def test_no_speaker_is_in_two_parts(examples: Examples, seed: int) -> None:
    parts = split(examples, 0, seed)
    train, validation, test = (
        set(examples.speaker[rows]) for rows in (parts.train, parts.validation, parts.test)
    )
    assert test == {"ravdess_01", "ravdess_11"}
    assert not train & validation
    assert not (train | validation) & test


def test_virtual_voices_train_but_do_not_validate_or_test(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    assert set(examples.condition[parts.train]) == {0, 1}
    assert set(examples.condition[parts.validation]) == {0}
    assert set(examples.condition[parts.test]) == {0}


def test_validation_has_a_woman_and_leaves_a_man_to_train(examples: Examples) -> None:
    parts = split(examples, 0, 0)
    assert set(examples.speaker[parts.validation]) <= {"ravdess_02", "ravdess_04"}
    assert "ravdess_03" in examples.speaker[parts.train]


def test_a_fold_without_test_actors_is_refused(examples: Examples) -> None:
    with pytest.raises(CorpusError, match="fold 3 tests the speakers none"):
        split(examples, 2, 0)


def test_speakers_of_another_corpus_are_dealt_out_each_once(examples: Examples) -> None:
    speakers = [f"home_{number}" for number in range(7)]
    clips = tuple(
        replace(clip, corpus="home", speaker=speakers[number % 7])
        for number, clip in enumerate(examples.clips)
    )
    home = replace(examples, clips=clips)
    tested = [speaker for fold in range(COUNT) for speaker in speakers_tested(home, fold)]
    assert sorted(tested) == speakers


def test_too_few_speakers_to_test_on_unseen_ones_are_refused(examples: Examples) -> None:
    with pytest.raises(CorpusError, match=r"home has 5 speaker\(s\), 6 are needed"):
        speakers_tested(renamed(examples, "home"), 0)


def test_a_test_actor_who_also_sings_does_not_train(examples: Examples) -> None:
    from affectd.train.examples import join

    song = replace(examples, clips=tuple(replace(c, corpus="song") for c in examples.clips))
    both = join([examples, song])
    parts = split(both, 0, 0)
    assert set(both.corpus[parts.test]) == {"ravdess"}
    assert not set(both.speaker[parts.train]) & set(both.speaker[parts.test])


def test_another_corpus_is_only_learnt_from(examples: Examples) -> None:
    from affectd.train.examples import join

    both = join([examples, renamed(examples, "home")])
    parts = split(both, 0, 0)
    assert set(both.corpus[parts.train]) == {"ravdess", "home"}
    assert set(both.corpus[np.concatenate([parts.validation, parts.test])]) == {"ravdess"}
