from pathlib import Path

import pytest

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import CorpusError
from affectd.train.corpora.layouts import load
from affectd.train.corpora.listeners import Vote, voice_votes
from tests.conftest import DATA

# As in the publishers' table, whose numbers R has padded here and there.
PUBLISHED = """\
"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
"1","1001_IEO_NEU_XX","N","69.1","N","92.22","N","64.78"
"9","1001_IEO_ANG_MD","A:D","37.2:58.6","A","45.5","A","44.2"
"136","1002_ITH_SAD_XX","D:F:S","71.0:35.5: 9.0","D:N","45.67:48.00","S","44.2"
"""
SHORT = """\
file,intended,voice_vote,voice_level,face_vote,multimodal_vote
AudioWAV/1001_DFA_FEA_XX.opus,FEA,F,60.6,D,F
AudioWAV/1003_DFA_HAP_XX.opus,HAP,H:S,48:40,H,H
"""


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "summaryTable.csv",
        "processedResults/summaryTable.csv",
        "crema-d-mirror-main/processedResults/summaryTable.csv",
    ],
)
def test_votes_are_read_from_the_publishers_table_where_it_usually_lies(
    name: str, tmp_path: Path
) -> None:
    write(tmp_path, name, PUBLISHED)
    assert voice_votes(tmp_path)["1001_IEO_NEU_XX"] == Vote(("neutral",), 69.1)


def test_answers_that_won_equally_many_listeners_are_one_vote_of_their_mean_level(
    tmp_path: Path,
) -> None:
    write(tmp_path, "summaryTable.csv", PUBLISHED)
    vote = voice_votes(tmp_path)["1002_ITH_SAD_XX"]
    assert vote.emotions == ("disgusted", "fearful", "sad")
    assert vote.level == pytest.approx((71.0 + 35.5 + 9.0) / 3)


def test_votes_are_read_from_a_table_that_names_files(tmp_path: Path) -> None:
    write(tmp_path, "votes.csv", SHORT)
    assert voice_votes(tmp_path) == {
        "1001_DFA_FEA_XX": Vote(("fearful",), 60.6),
        "1003_DFA_HAP_XX": Vote(("happy", "sad"), 44.0),
    }


def test_the_publishers_table_goes_before_another(tmp_path: Path) -> None:
    write(tmp_path, "votes.csv", SHORT)
    write(tmp_path, "summaryTable.csv", PUBLISHED)
    assert "1001_IEO_NEU_XX" in voice_votes(tmp_path)


def test_without_a_table_there_are_no_votes(tmp_path: Path) -> None:
    assert voice_votes(tmp_path) == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"N","69.1"', '"Q","69.1"', "line 2: the vote 'Q' is none of A, D, F, H, N, S"),
        ('"N","69.1"', '"","69.1"', "line 2: the vote '' is none of"),
        ('"N","69.1"', '"N","loud"', "line 2: the level 'loud' is no number"),
        ('"N","69.1"', '"N","nan"', "line 2: the level nan is not within 0 to 100"),
        ('"37.2:58.6"', '"37.2:158.6"', "line 3: the level 37.2:158.6 is not within 0 to 100"),
        ('"37.2:58.6"', '"37.2"', "line 3: the vote A:D needs as many levels, not '37.2'"),
        ('"A:D","37.2:58.6","A","45.5","A","44.2"', "", "line 3: the vote '' is none of"),
        ("1001_IEO_ANG_MD", "", "line 3: the clip has no name"),
        ("1001_IEO_ANG_MD", "1001_IEO_NEU_XX", "line 3: 1001_IEO_NEU_XX has a vote already"),
        ("VoiceLevel", "Level", "line 1: it must name the columns FileName, VoiceVote, VoiceLevel"),
    ],
)
def test_a_damaged_table_is_an_error_that_says_where_and_how_to_get_another(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    write(tmp_path, "summaryTable.csv", PUBLISHED.replace(old, new))
    with pytest.raises(CorpusError, match=rf"summaryTable.csv, {message}.*train fetch cremad"):
        voice_votes(tmp_path)


@pytest.mark.parametrize("text", ["", "FileName,VoiceVote,VoiceLevel\n"])
def test_an_empty_table_is_an_error(text: str, tmp_path: Path) -> None:
    write(tmp_path, "summaryTable.csv", text)
    with pytest.raises(CorpusError, match=r"line 1: .*train fetch cremad"):
        voice_votes(tmp_path)


def test_a_table_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "summaryTable.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"is not a CSV file in UTF-8 .*train fetch cremad"):
        voice_votes(tmp_path)


def test_a_table_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "summaryTable.csv").mkdir()
    with pytest.raises(CorpusError, match=r"summaryTable.csv cannot be read"):
        voice_votes(tmp_path)


def test_every_real_clip_has_a_vote_for_one_of_the_emotions() -> None:
    root = DATA / "cremad"
    if not root.is_dir():
        pytest.skip(f"CREMA-D is not beside this checkout ({root})")
    votes = voice_votes(root)
    assert {clip.path.stem for clip in load("cremad", root).clips} == votes.keys()
    assert {emotion for vote in votes.values() for emotion in vote.emotions} < set(EMOTIONS)
