from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.cli import main
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import CorpusError
from affectd.train.data import Sources, gather, surroundings
from affectd.train.fits import dealt, held_out, learnt, taught
from affectd.train.folds import split


@pytest.fixture(scope="module")
def plain(few_actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some recordings in place of plain speech."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    folder.mkdir()
    for path in sorted((few_actors / "Actor_02").glob("03-01-0[1-4]-01-*.flac")):
        samples, rate = soundfile.read(path)
        soundfile.write(folder / f"plain{path.name}", samples[:-100], rate)
    return folder


def test_plain_speech_is_taught_as_neutral_but_not_by_the_fold_that_it_tests(
    few_actors: Path, plain: Path, tmp_path: Path
) -> None:
    sources = Sources(corpora={"ravdess": few_actors}, plain=(plain,))
    data, _ = gather(sources, tmp_path, jobs=2)
    assert data.plain is not None
    examples = data.examples
    spoken = examples.corpus == "plain"
    assert set(examples.emotion[spoken]) == {EMOTIONS.index("neutral")}
    fold = int(dealt(data.plain)[0])
    rows = taught(data, split(examples, 0, 0), fold)
    tested = set(data.plain.speaker[held_out(data.plain, fold)])
    assert tested
    assert not tested & set(examples.speaker[rows])
    assert spoken[rows].any()


def silent_files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        soundfile.write(folder / f"{name}.wav", np.zeros(100), 16_000)
    return folder


def test_noises_of_the_first_folder_try_and_half_of_the_others_are_learnt_from(
    tmp_path: Path,
) -> None:
    household = silent_files(tmp_path / "household", "tap", "street")
    other = silent_files(tmp_path / "other", "1-1-A-0", "1-1-B-0", "1-2-A-0", "2-3-A-0")
    under, tried = surroundings(Sources(noise=(household, other)))
    assert [path.stem for path in under.noises] == ["1-1-A-0", "1-1-B-0", "2-3-A-0"]
    assert {path.stem for path in tried.noises} == {"tap", "street"}


def test_noises_of_a_single_folder_are_learnt_from_or_tried_not_both(tmp_path: Path) -> None:
    under, tried = surroundings(Sources(noise=(silent_files(tmp_path / "n", *"abcde"),)))
    assert len(under.noises) + len(tried.noises) == 5
    assert not set(under.noises) & set(tried.noises)


def test_a_noise_that_lies_under_virtual_voices_tests_nothing(
    few_actors: Path, few_noises: Path, tmp_path: Path
) -> None:
    sources = Sources(corpora={"ravdess": few_actors}, noise=(few_noises,))
    data, _ = gather(sources, tmp_path, jobs=2)
    assert data.noise is not None
    under = {path.stem for path in surroundings(sources)[0].noises}
    tested = np.concatenate([held_out(data.noise, fold) for fold in range(6)])
    stems = {data.noise.clips[clip].path.stem for clip in data.noise.clip[tested]}
    assert under
    assert stems
    assert not under & stems


def test_a_tried_noise_tests_and_is_never_learnt_from(
    few_actors: Path, few_noises: Path, tmp_path: Path
) -> None:
    saws = sorted((few_noises / "chainsaw").iterdir())
    for name, part in (("learnt", saws[::2]), ("tried", saws[1::2])):
        (tmp_path / name).mkdir()
        for path in part:
            (tmp_path / name / path.name).symlink_to(path)
    sources = Sources(
        corpora={"ravdess": few_actors},
        noise=(tmp_path / "learnt",),
        tried_noise=(tmp_path / "tried",),
    )
    data, _ = gather(sources, tmp_path, jobs=2)
    assert data.noise is not None
    tried = data.noise.corpus == "tried"
    assert tried.any()
    np.testing.assert_array_equal(learnt(data.noise), ~tried)
    tested = np.concatenate([held_out(data.noise, fold) for fold in range(6)])
    assert set(np.flatnonzero(tried)) <= set(tested)
    assert not data.noise.condition[tried].any()  # as recorded alone


def test_tried_noise_alone_makes_no_gate(
    few_actors: Path, few_noises: Path, tmp_path: Path
) -> None:
    sources = Sources(corpora={"ravdess": few_actors}, tried_noise=(few_noises,))
    with pytest.raises(CorpusError, match="--tried-noise tests the speech gate, which learns from"):
        gather(sources, tmp_path, jobs=2)


def test_too_few_sounds_for_each_fold_to_test_some_are_refused(
    few_actors: Path, few_noises: Path, tmp_path: Path
) -> None:
    (tmp_path / "saws").mkdir()
    for path in sorted((few_noises / "chainsaw").iterdir())[:5]:
        (tmp_path / "saws" / path.name).symlink_to(path)
    sources = Sources(corpora={"ravdess": few_actors}, noise=(tmp_path / "saws",))
    with pytest.raises(CorpusError, match=r"saws hold 5 recording\(s\), too few for each of 6"):
        gather(sources, tmp_path, jobs=2)


def test_a_noise_cannot_be_learnt_from_and_tried(tmp_path: Path) -> None:
    inner = silent_files(tmp_path / "noise", "tap", "street")
    with pytest.raises(CorpusError, match=r"\.wav is among the noises to learn from and among"):
        surroundings(Sources(noise=(tmp_path, inner)))


def test_a_room_cannot_be_learnt_from_and_tried(tmp_path: Path) -> None:
    rooms = silent_files(tmp_path / "rooms", "kitchen", "hall")
    sources = Sources(rooms=(rooms,), tried_rooms=(rooms / "hall.wav",))
    with pytest.raises(CorpusError, match=r"hall\.wav is among the rooms to learn from and among"):
        surroundings(sources)


def test_no_corpus_at_all_is_an_error_that_names_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "evaluate", "--workdir", str(tmp_path)]) == 1
    assert "no corpus is named; name at least one, such as --ravdess" in capsys.readouterr().err


def test_a_room_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere does not exist"):
        surroundings(Sources(rooms=(tmp_path / "nowhere",)))


def test_shipping_needs_noise_for_the_gate(
    few_actors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "final", "--ravdess", str(few_actors), "--workdir", str(tmp_path)]
    assert main([*words, "--set", "epochs=1"]) == 1
    assert "the speech gate learns from noise; name folders" in capsys.readouterr().err
