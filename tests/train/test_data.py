from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.cli import main
from affectd.train import data as module
from affectd.train import rooms
from affectd.train.conditions import Trials
from affectd.train.corpora.corpus import CorpusError
from affectd.train.corpora.kept_out import is_kept_out
from affectd.train.data import Sources, check_folds, corpora, gather, surroundings
from affectd.train.encoder import EncoderError
from affectd.train.fits import dealt, held_out, spoken, taught
from tests.conftest import DATA


@pytest.fixture(scope="module")
def tiny(few_actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real RAVDESS with a few clips of two of its actors."""
    root = tmp_path_factory.mktemp("tiny")
    for actor in (1, 2):
        folder = root / f"Actor_{actor:02}"
        folder.mkdir()
        for path in sorted((few_actors / folder.name).glob("03-01-*-01-01-01-*.flac")):
            (folder / path.name).symlink_to(path)
    return root


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what several tests extract is found again."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True)
def few_voices(few_boxes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VOICES", 2)
    monkeypatch.setattr(module, "NOISE_VOICES", 2)


@pytest.fixture(scope="module")
def plain(few_actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some recordings in place of plain speech."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    folder.mkdir()
    for path in sorted((few_actors / "Actor_03").glob("03-01-0[1-4]-01-*-01-*.flac")):
        samples, rate = soundfile.read(path)
        soundfile.write(folder / f"plain{path.name}", samples[:-100], rate)
    return folder


def table_in(folder: Path, files: list[Path], emotion: str = "sad") -> Path:
    """A table of recordings, by six speakers in turn."""
    folder.mkdir()
    lines = [f"{path},person{n % 6},{emotion}" for n, path in enumerate(files)]
    (folder / "table.csv").write_text("\n".join(["file,speaker,emotion", *lines]))
    return folder / "table.csv"


def test_plain_speech_teaches_no_emotion_and_its_fold_does_not_teach_it_to_the_gate(
    tiny: Path, plain: Path, encoder_file: Path, workdir: Path
) -> None:
    sources = Sources(encoder_file, corpora={"ravdess": tiny}, plain=(plain,))
    data, _ = gather(sources, workdir, jobs=2)
    assert data.plain is not None
    examples = data.examples
    is_plain = examples.corpus == "plain"
    assert not is_plain[taught(data, "fold 1")].any()
    tested = set(data.plain.speaker[held_out(data.plain, 1)])
    rows = spoken(data, "fold 1")
    assert tested
    assert not tested & set(examples.speaker[rows])
    assert is_plain[rows].any()


def test_what_only_tests_is_kept_apart_as_recorded(
    tiny: Path, few_actors: Path, encoder_file: Path, workdir: Path, tmp_path: Path
) -> None:
    table = table_in(tmp_path / "away", sorted((few_actors / "Actor_04").iterdir())[:3])
    sources = Sources(encoder_file, corpora={"ravdess": tiny}, test_only=(table,))
    data, kept = gather(sources, workdir, jobs=1)
    assert data.test_only is not None
    assert set(data.test_only.corpus) == {"away"}
    assert not data.test_only.condition.any()
    assert set(data.examples.corpus) == {"ravdess"}
    assert [corpus.name for corpus in kept] == ["RAVDESS speech"]


def test_a_recording_that_only_tests_must_not_be_learnt_from(
    tiny: Path, encoder_file: Path, workdir: Path, tmp_path: Path
) -> None:
    learnt = next(tiny.rglob("*.flac"))
    copy = tmp_path / "another name.flac"
    copy.write_bytes(learnt.read_bytes())
    table = table_in(tmp_path / "away", [copy])
    sources = Sources(encoder_file, corpora={"ravdess": tiny}, test_only=(table,))
    with pytest.raises(CorpusError, match=rf"another name\.flac of --test-only .*{learnt.name}"):
        gather(sources, workdir, jobs=1)


def test_the_first_corpus_is_tried_in_rooms_and_noises_that_are_not_learnt_from(
    tiny: Path,
    few_noises: Path,
    boxes: tuple[Path, ...],
    encoder_file: Path,
    workdir: Path,
    tmp_path: Path,
) -> None:
    only = tmp_path / "Actor_01" / "03-01-05-01-01-01-01.flac"
    only.parent.mkdir()
    only.symlink_to(tiny / "Actor_01" / only.name)
    (tmp_path / "hall.flac").write_bytes(boxes[0].read_bytes())
    sources = Sources(
        encoder_file,
        corpora={"ravdess": tmp_path},
        noise=(few_noises,),
        tried_rooms=(tmp_path / "hall.flac",),
    )
    data, _ = gather(sources, workdir, jobs=2)
    assert data.trials is not None
    assert set(data.trials.clips) == set(data.examples.clips)
    assert len(set(data.trials.condition)) > len(Trials.NAMES) / 2


def test_without_rooms_to_try_it_is_said_that_there_are_no_trials(
    tiny: Path, encoder_file: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, _ = gather(Sources(encoder_file, corpora={"ravdess": tiny}), workdir, jobs=1)
    assert data.trials is None
    assert "No trying conditions: they need --noise and --tried-rooms." in capsys.readouterr().err


def test_the_demo_s_clips_of_crema_d_test_and_are_not_learnt_from() -> None:
    if not (DATA / "cremad").is_dir():
        pytest.skip(f"CREMA-D is not beside this checkout ({DATA / 'cremad'})")
    sources = Sources(Path("none"), corpora={"cremad": DATA / "cremad"})
    (corpus,) = corpora(sources)
    kept_out = {clip.path for clip in corpus.clips if is_kept_out(clip.path.stem)}
    assert 0 < len(kept_out) < len(corpus.clips) / 2
    assert {clip.path for clip in corpus.clips if not clip.is_learnt} == kept_out
    assert all(clip.is_tested for clip in corpus.clips)
    asked = [clip for clip in corpus.clips if clip.heard]
    assert len(asked) > 0.9 * len(corpus.clips)
    agreed = np.mean([clip.emotion in clip.heard for clip in asked])
    assert 0.3 < agreed < 0.6  # of what was meant, listeners to the voice alone hear less than half


def silent_files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        soundfile.write(folder / f"{name}.wav", np.zeros(100), 16_000)
    return folder


NO_FILE = Path("none.npz")


def test_noises_of_the_first_folder_try_and_half_of_the_others_are_learnt_from(
    tmp_path: Path,
) -> None:
    household = silent_files(tmp_path / "household", "tap", "street")
    other = silent_files(tmp_path / "other", "1-1-A-0", "1-1-B-0", "1-2-A-0", "2-3-A-0")
    under, tried = surroundings(Sources(NO_FILE, noise=(household, other)), tmp_path)
    assert [path.stem for path in under.noises] == ["1-1-A-0", "1-1-B-0", "2-3-A-0"]
    assert {path.stem for path in tried.noises} == {"tap", "street"}


def test_noises_of_a_single_folder_are_learnt_from_or_tried_not_both(tmp_path: Path) -> None:
    folder = silent_files(tmp_path / "n", *"abcde")
    under, tried = surroundings(Sources(NO_FILE, noise=(folder,)), tmp_path)
    assert len(under.noises) + len(tried.noises) == 5
    assert not set(under.noises) & set(tried.noises)


def test_synthesised_rooms_are_learnt_from_beside_recorded_ones_and_never_tried(
    tmp_path: Path, boxes: tuple[Path, ...]
) -> None:
    recorded = silent_files(tmp_path / "rooms", "kitchen", "hall")
    sources = Sources(
        NO_FILE, rooms=(recorded / "hall.wav",), tried_rooms=(recorded / "kitchen.wav",)
    )
    under, tried = surroundings(sources, tmp_path)
    assert under.rooms == (recorded / "hall.wav", *boxes)
    assert tried.rooms == (recorded / "kitchen.wav",)


def test_a_noise_that_lies_under_virtual_voices_tests_nothing(
    tiny: Path, few_noises: Path, encoder_file: Path, workdir: Path
) -> None:
    sources = Sources(encoder_file, corpora={"ravdess": tiny}, noise=(few_noises,))
    data, _ = gather(sources, workdir, jobs=2)
    assert data.noise is not None
    under = {path.stem for path in surroundings(sources, workdir)[0].noises}
    tested = np.concatenate([held_out(data.noise, fold) for fold in range(1, 7)])
    stems = {data.noise.clips[clip].path.stem for clip in data.noise.clip[tested]}
    assert under
    assert stems
    assert not under & stems


def test_a_tried_noise_tests_and_is_never_learnt_from(
    tiny: Path, few_noises: Path, encoder_file: Path, workdir: Path, tmp_path: Path
) -> None:
    saws = sorted((few_noises / "chainsaw").iterdir())
    tried = tmp_path / "tried"
    tried.mkdir()
    for path in saws[:3]:
        samples, rate = soundfile.read(path)
        soundfile.write(tried / f"other{path.stem}.wav", samples[:-100], rate)
    sources = Sources(
        encoder_file, corpora={"ravdess": tiny}, noise=(few_noises,), tried_noise=(tried,)
    )
    data, _ = gather(sources, workdir, jobs=2)
    assert data.noise is not None
    is_tried = data.noise.corpus == "tried"
    assert is_tried.any()
    np.testing.assert_array_equal(data.noise.is_learnt, ~is_tried)
    tested = np.concatenate([held_out(data.noise, fold) for fold in range(1, 7)])
    assert set(np.flatnonzero(is_tried)) <= set(tested)
    assert not data.noise.condition[is_tried].any()  # as recorded alone
    assert set(dealt(data.noise)) <= {-1, 1, 2, 3, 4, 5, 6}


def test_too_few_sounds_for_each_fold_to_test_some_are_refused(
    tiny: Path, few_noises: Path, encoder_file: Path, workdir: Path, tmp_path: Path
) -> None:
    (tmp_path / "saws").mkdir()
    for path in sorted((few_noises / "chainsaw").iterdir())[:5]:
        (tmp_path / "saws" / path.name).symlink_to(path)
    sources = Sources(encoder_file, corpora={"ravdess": tiny}, noise=(tmp_path / "saws",))
    with pytest.raises(CorpusError, match=r"saws hold 5 recording\(s\), too few for each of 6"):
        gather(sources, workdir, jobs=2)


def test_a_noise_cannot_be_learnt_from_and_tried(tmp_path: Path) -> None:
    inner = silent_files(tmp_path / "noise", "tap", "street")
    with pytest.raises(CorpusError, match=r"\.wav is among the noises to learn from and among"):
        surroundings(Sources(NO_FILE, noise=(tmp_path, inner)), tmp_path)


def test_a_room_cannot_be_learnt_from_and_tried(tmp_path: Path) -> None:
    recorded = silent_files(tmp_path / "rooms", "kitchen", "hall")
    sources = Sources(NO_FILE, rooms=(recorded,), tried_rooms=(recorded / "hall.wav",))
    with pytest.raises(CorpusError, match=r"hall\.wav is among the rooms to learn from and among"):
        surroundings(sources, tmp_path)


# Wrong input is told before anything long begins.


@pytest.fixture
def nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "stored")
    monkeypatch.delattr(rooms, "synthesise")


@pytest.fixture
def sources(tmp_path: Path, encoder_file: Path) -> Sources:
    """What is there, but for what a test takes away."""
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "03-01-05-01-01-01-01.wav").touch()
    return Sources(encoder_file, corpora={"ravdess": tmp_path})


@pytest.mark.parametrize("option", ["noise", "music", "tried_noise", "plain"])
def test_a_folder_of_sounds_that_is_missing_or_empty_is_named_at_once(
    option: str, sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    for name, why in (("nowhere", "nowhere is not a folder"), ("empty", "empty holds no recor")):
        folder = tmp_path / name
        if name == "empty":
            folder.mkdir()
        wrong = replace(sources, **{option: (folder,)})  # type: ignore[arg-type]
        with pytest.raises(CorpusError, match=why):
            gather(wrong, tmp_path / "work", jobs=1)


def test_tried_noise_alone_makes_no_gate(
    sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    tried = silent_files(tmp_path / "tried", "tap")
    with pytest.raises(CorpusError, match="--tried-noise tests the speech gate, which learns from"):
        gather(replace(sources, tried_noise=(tried,)), tmp_path / "work", jobs=1)


def test_an_encoder_that_is_missing_is_named_at_once(
    sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    without = replace(sources, encoder=tmp_path / "nowhere.npz")
    with pytest.raises(EncoderError, match=r"nowhere\.npz cannot be read .*train fetch encoder"):
        gather(without, tmp_path / "work", jobs=1)


def test_a_corpus_of_which_clips_are_missing_is_named_at_once(
    sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    table = table_in(tmp_path / "home", [Path("gone1.wav"), Path("gone2.wav")])
    for wrong in (replace(sources, tables=(table,)), replace(sources, test_only=(table,))):
        with pytest.raises(CorpusError, match=r"2 of 2 files had to be left out .*no such file"):
            gather(wrong, tmp_path / "work", jobs=1)


def test_a_folder_without_clips_of_its_corpus_is_named_at_once(
    sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    wrong = replace(sources, corpora={"nemo": tmp_path / "Actor_01"})
    with pytest.raises(CorpusError, match="holds no nEMO; it must contain samples/EB0_anger_1"):
        gather(wrong, tmp_path / "work", jobs=1)


def test_two_folders_of_one_name_are_refused(
    sources: Sources, nothing_begins: None, tmp_path: Path
) -> None:
    wav = tmp_path / "Actor_01" / "03-01-05-01-01-01-01.wav"
    (tmp_path / "other").mkdir()
    tables = table_in(tmp_path / "home", [wav]), table_in(tmp_path / "other" / "home", [wav])
    for wrong in (
        replace(sources, tables=tables),
        replace(sources, test_only=tables),
        replace(sources, tables=tables[:1], test_only=tables[1:]),
    ):
        with pytest.raises(CorpusError, match="two of the recordings' folders are named home"):
            gather(wrong, tmp_path / "work", jobs=1)


def test_a_room_that_does_not_exist_is_named(tmp_path: Path, nothing_begins: None) -> None:
    nowhere = (tmp_path / "nowhere",)
    for wrong in (Sources(NO_FILE, rooms=nowhere), Sources(NO_FILE, tried_rooms=nowhere)):
        with pytest.raises(CorpusError, match="nowhere does not exist; give files or folders of"):
            surroundings(wrong, tmp_path)


def test_no_corpus_at_all_is_an_error_that_names_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "evaluate", "--workdir", str(tmp_path)]) == 1
    assert "no corpus is named; name at least one, such as --ravdess" in capsys.readouterr().err


def test_too_few_speakers_for_the_folds_are_refused_by_their_labels_alone(
    tiny: Path, encoder_file: Path
) -> None:
    with pytest.raises(CorpusError, match=r"none of the speakers that fold \d of 6 tests; give"):
        check_folds(Sources(encoder_file, corpora={"ravdess": tiny}))
