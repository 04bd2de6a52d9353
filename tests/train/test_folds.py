from dataclasses import replace

import numpy as np
import pytest

from affectd.train.corpora.corpus import CorpusError
from affectd.train.examples import Examples, join
from affectd.train.folds import COUNT, EMOBOX, left_out, names, speakers_tested, split
from tests.train import made

FOLDS = [f"fold {number}" for number in range(1, 7)]
PLAIN = made.corpus("plain", ["plain_a", "plain_b"], (0,))


def test_the_folds_are_those_of_emobox() -> None:
    examples = made.several()
    tested = [
        {
            int(speaker.removeprefix("ravdess_"))
            for speaker in speakers_tested(examples.clips, number)
        }
        for number in range(1, COUNT + 1)
    ]
    assert tested == [
        {1, 11, 20, 21},
        {4, 10, 12, 14},
        {8, 9, 19, 23},
        {3, 5, 7, 24},
        {2, 15, 16, 18},
        {6, 13, 17, 22},
    ]
    assert sorted(actor for fold in EMOBOX for actor in fold) == list(range(1, 25))


def test_every_utterance_of_the_first_corpus_is_tested_once_as_recorded() -> None:
    examples = made.several()
    tested = np.concatenate([split(examples, name).test for name in FOLDS])
    own = (examples.corpus == "ravdess") & (examples.condition == 0)
    assert sorted(tested) == np.flatnonzero(own).tolist()


@pytest.mark.parametrize("name", FOLDS)
def test_a_fold_learns_from_all_other_speakers_in_all_their_voices(name: str) -> None:
    examples = made.several()
    parts = split(examples, name)
    testers = set(examples.speaker[parts.test])
    others = ~np.isin(examples.speaker, list(testers))
    assert parts.train.tolist() == np.flatnonzero(others).tolist()


@pytest.mark.parametrize("name", FOLDS)
def test_those_who_also_sing_stay_in_their_fold(name: str) -> None:
    examples = made.several()
    parts = split(examples, name)
    assert "ravdess_song" in examples.corpus[parts.train]
    assert not set(examples.speaker[parts.train]) & set(examples.speaker[parts.test])
    assert set(examples.corpus[parts.test]) == {"ravdess"}


@pytest.mark.parametrize("corpus", ["ravdess", "nemo", "home"])
def test_a_corpus_that_is_left_out_is_tested_whole_and_its_people_are_not_learnt_from(
    corpus: str,
) -> None:
    examples = made.several()
    parts = split(examples, f"without {corpus}")
    own = (examples.corpus == corpus) & (examples.condition == 0)
    taught = np.unique(examples.emotion[parts.train])
    tested = np.flatnonzero(own & np.isin(examples.emotion, taught))
    assert parts.test.tolist() == tested.tolist()
    assert not set(examples.speaker[parts.train]) & set(examples.speaker[parts.test])
    assert corpus not in examples.corpus[parts.train]


def test_the_song_of_actors_who_are_left_out_is_not_learnt_from() -> None:
    examples = made.several()
    assert set(examples.corpus[split(examples, "without ravdess").train]) == {"nemo", "home"}


def test_a_corpus_that_is_left_out_is_tested_on_the_emotions_that_others_teach() -> None:
    examples = made.several()  # calm and disgusted are acted by RAVDESS's people alone
    tested = split(examples, "without ravdess").test
    assert set(examples.emotion[tested]) == {0, 2, 3, 4, 5, 7}


def test_everything_that_may_be_learnt_from_is() -> None:
    examples = made.several()
    parts = split(examples, "all")
    assert parts.train.tolist() == list(range(len(examples.clip)))
    assert parts.test.size == 0


@pytest.mark.parametrize("name", ["fold 1", "without nemo", "all"])
def test_a_clip_that_is_kept_out_is_learnt_from_by_no_split(name: str) -> None:
    examples = made.several()
    clips = tuple(
        replace(clip, is_learnt=number % 5 > 0) for number, clip in enumerate(examples.clips)
    )
    parts = split(replace(examples, clips=clips), name)
    assert not (examples.clip[parts.train] % 5 == 0).any()


def test_a_clip_that_is_kept_out_is_tested_like_any_other() -> None:
    examples = made.several()
    kept_out = made.relabelled(examples, is_learnt=False)
    mixed = tuple(
        one if one.corpus == "nemo" else other
        for one, other in zip(kept_out.clips, examples.clips, strict=True)
    )
    tested = split(replace(examples, clips=mixed), "without nemo").test
    np.testing.assert_array_equal(tested, split(examples, "without nemo").test)


def test_all_splits_are_named() -> None:
    examples = join([made.several(), PLAIN])
    assert list(names(examples)) == [
        "all",
        *FOLDS,
        "without ravdess",
        "without nemo",
        "without home",
    ]


def test_a_single_corpus_is_not_left_out() -> None:
    examples = join([made.ravdess(), made.corpus("ravdess_song", made.actors(1, 2)), PLAIN])
    assert list(names(examples)) == ["all", *FOLDS]


def test_corpora_of_one_emotion_and_of_other_corpora_s_people_are_not_left_out() -> None:
    assert left_out(join([made.several(), PLAIN])) == ["ravdess", "nemo", "home"]


def renamed(examples: Examples, corpus: str) -> Examples:
    """The same clips as of another corpus."""
    clips = tuple(
        replace(clip, corpus=corpus, speaker=clip.speaker.replace("ravdess", corpus))
        for clip in examples.clips
    )
    return replace(examples, clips=clips)


def test_speakers_of_another_corpus_are_dealt_out_each_once() -> None:
    home = made.corpus("home", [f"home_{number}" for number in range(7)])
    tested = [speaker for fold in range(1, 7) for speaker in speakers_tested(home.clips, fold)]
    assert sorted(tested) == [f"home_{number}" for number in range(7)]


def test_too_few_speakers_to_test_on_unseen_ones_are_refused() -> None:
    home = made.corpus("home", [f"home_{number}" for number in range(5)])
    with pytest.raises(CorpusError, match=r"home has 5 speaker\(s\), 6 are needed"):
        split(home, "fold 1")


def test_a_fold_without_its_actors_is_refused() -> None:
    few = made.corpus("ravdess", made.actors(1, 2, 3, 4, 11))
    with pytest.raises(CorpusError, match="fold 3 has nothing to learn from or to test on; add"):
        split(few, "fold 3")


def test_a_corpus_that_shares_no_emotion_with_the_others_is_refused() -> None:
    apart = join([made.corpus("home", ["home_a"], (0, 2)), made.corpus("away", ["away_a"], (4, 5))])
    with pytest.raises(CorpusError, match="without away has nothing to learn from or to test on"):
        split(apart, "without away")
