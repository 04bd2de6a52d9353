from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.cli import main
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import CorpusError
from affectd.train.data import Sources, gather, surroundings
from affectd.train.folds import split
from affectd.train.runs import dealt, held_out, taught


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


def test_rooms_and_noises_to_learn_from_are_not_those_to_be_tested_in(tmp_path: Path) -> None:
    for folder in ("rooms", "noise"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            soundfile.write(tmp_path / folder / f"{number}.wav", np.zeros(100), 16_000)
    sources = Sources(noise=(tmp_path / "noise",), rooms=(tmp_path / "rooms",))
    learnt, tried = surroundings(sources)
    assert len(learnt.rooms) + len(tried.rooms) == 5
    assert not set(learnt.rooms) & set(tried.rooms)
    assert not set(learnt.noises) & set(tried.noises)


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
