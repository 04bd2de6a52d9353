import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.capture.recording import Recording
from affectd.daemon.cli import main
from affectd.daemon.emotion.labels import EMOTIONS
from affectd.daemon.speech.vad import RATE_HZ
from affectd.train import demo, joined
from affectd.train.corpora import kept_out
from affectd.train.corpora.corpus import Clip, CorpusError
from affectd.train.corpora.listeners import Vote
from affectd.train.demo import ACTED, Choice, RatedClip
from tests.conftest import DATA, DEMO

CODES = dict(zip(("NEU", "HAP", "SAD", "ANG", "FEA", "DIS"), ACTED, strict=True))
WOMEN, MEN = ("1002", "1003", "1004"), ("1001", "1005", "1011")
SPOKEN = json.loads((DEMO.parent / "recording.json").read_text())


def rated(name: str, level: float = 50.0, heard: str = "") -> RatedClip:
    """A clip that listeners recognised, or heard otherwise."""
    speaker, _, code, _ = name.split("_")
    gender = "f" if speaker in WOMEN else "m"
    acted = CODES[code]
    clip = Clip(Path(f"{name}.wav"), "cremad", f"cremad_{speaker}", EMOTIONS.index(acted), gender)
    return RatedClip(clip, Vote((heard or acted,), level))


def clips(
    speakers: Iterable[str], sentences: Iterable[str], codes: Iterable[str] = CODES
) -> list[RatedClip]:
    return [rated("_".join((*one, "XX"))) for one in product(speakers, sentences, codes)]


def names(chosen: Choice | Sequence[RatedClip]) -> list[str]:
    return [clip.name for clip in (chosen.clips if isinstance(chosen, Choice) else chosen)]


@pytest.fixture
def four() -> list[RatedClip]:
    """All that two women and two men say of three sentences."""
    return clips([*WOMEN[:2], *MEN[:2]], ["AAA", "BBB", "CCC"])


def test_two_clips_of_each_emotion_are_chosen_one_round_after_the_other(
    four: list[RatedClip],
) -> None:
    assert [clip.emotion for clip in demo.choose(four).clips] == [*ACTED, *ACTED]


def test_the_most_intense_clips_are_chosen_first(four: list[RatedClip]) -> None:
    loud = [rated("1003_AAA_SAD_XX", 90), rated("1005_BBB_SAD_XX", 80)]
    others = [clip for clip in four if clip.name not in names(loud)]
    chosen = demo.choose([*others, *loud]).clips
    assert names([clip for clip in chosen if clip.emotion == "sad"]) == names(loud)


def test_the_sentences_with_the_most_intense_clips_are_chosen(four: list[RatedClip]) -> None:
    intense = {"BBB": "angry", "CCC": "sad"}
    loud = [rated(c.name, 60.0 if intense.get(c.sentence) == c.emotion else 50.0) for c in four]
    assert demo.choose(loud).sentences == ("BBB", "CCC")


def test_the_sentence_that_was_acted_at_several_intensities_is_left_to_training(
    four: list[RatedClip],
) -> None:
    loud = [rated(name, 99.0) for name in names(clips([*WOMEN[:2], *MEN[:2]], ["IEO"]))]
    assert "IEO" not in demo.choose([*four, *loud]).sentences


def test_women_and_men_with_the_most_emotions_recognised_are_chosen() -> None:
    sure = clips([*WOMEN[1:], *MEN[1:]], ["AAA", "BBB"])
    less_sure = clips([WOMEN[0], MEN[0]], ["AAA", "BBB"], list(CODES)[:5])
    assert demo.choose([*less_sure, *sure]).speakers == ("1003", "1004", "1005", "1011")


def test_among_speakers_alike_the_one_with_more_clips_recognised_comes_first() -> None:
    both = clips(WOMEN[:2], ["AAA", "BBB"]) + clips(MEN, ["AAA", "BBB"])
    fewer = [clip for clip in both if clip.name != "1001_AAA_ANG_XX"]
    assert demo.rank_speakers(fewer)[1::2] == ["1005", "1011"]


def test_no_speaker_is_chosen_more_than_four_times_where_that_is_possible(
    four: list[RatedClip],
) -> None:
    loud = [rated(clip.name, 90.0 if clip.speaker == "1002" else 50.0) for clip in four]
    assert Counter(clip.speaker for clip in demo.choose(loud).clips)["1002"] == demo.MOST_OF_ONE


def test_a_speaker_is_chosen_more_often_where_nobody_else_was_recognised() -> None:
    most = clips(["1002"], ["AAA", "BBB"])
    others = clips(["1003", *MEN[:2]], ["AAA", "BBB"], ["NEU"])
    assert Counter(clip.speaker for clip in demo.choose([*most, *others]).clips)["1002"] >= 10


def test_more_speakers_are_chosen_rather_than_a_clip_that_was_not_recognised() -> None:
    happy = ["NEU", "HAP", "ANG", "FEA", "DIS"]
    first = clips([*WOMEN[:2], *MEN[:2]], ["AAA", "BBB"], happy)
    sad = clips([WOMEN[2]], ["AAA", "BBB"], ["SAD"]) + clips([MEN[2]], ["AAA"], ["NEU"])
    chosen = demo.choose([*first, *sad])
    assert len(chosen.speakers) == 5
    assert names(chosen).count("1004_AAA_SAD_XX") == 1


def test_clips_that_lack_an_emotion_are_refused_with_the_reason(four: list[RatedClip]) -> None:
    with pytest.raises(CorpusError, match="no two sentences have 2 recognised clips of each of ne"):
        demo.choose([clip for clip in four if clip.emotion != "sad"])


def test_every_speaker_is_heard_before_in_every_emotion_and_in_other_sentences(
    four: list[RatedClip],
) -> None:
    chosen = demo.choose(four)
    before = demo.choose_before(chosen, four, lambda _: True)
    spoken = [(clip.speaker, clip.emotion) for clip in before]
    assert sorted(spoken) == sorted(product(chosen.speakers, ACTED))
    assert {clip.sentence for clip in before}.isdisjoint(chosen.sentences)


def test_sentences_heard_before_are_taken_in_turn() -> None:
    rest = clips([*WOMEN[:2], *MEN[:2]], ["CCC", "DDD", "EEE", "FFF"])
    four = [*clips([*WOMEN[:2], *MEN[:2]], ["AAA", "BBB"]), *rest]
    before = demo.choose_before(demo.choose(four), four, lambda _: True)
    assert set(Counter(clip.sentence for clip in before).values()) == {6}


def test_a_clip_heard_before_that_cannot_be_used_is_replaced() -> None:
    four = clips([*WOMEN[:2], *MEN[:2]], ["AAA", "BBB", "CCC", "DDD"])
    before = demo.choose_before(demo.choose(four), four, lambda clip: clip.sentence == "DDD")
    assert Counter(clip.sentence for clip in before) == {"DDD": 24}


@pytest.fixture
def cremad(tmp_path: Path) -> Path:
    """CREMA-D in small: real speech under made-up names, not all of it recognised."""
    root = tmp_path / "cremad"
    (root / "AudioWAV").mkdir(parents=True)
    span = slice(*(round(SPOKEN[0][at] * RATE_HZ) for at in ("start_s", "end_s")))
    said = tmp_path / "said.wav"
    soundfile.write(said, Recording(DEMO).samples()[span], RATE_HZ)
    cut = tmp_path / "cut.wav"
    pause = np.zeros(RATE_HZ, np.int16)
    soundfile.write(
        cut, np.concatenate([soundfile.read(said, dtype="int16")[0], pause] * 2), RATE_HZ
    )
    rows = ["file,voice_vote,voice_level"]
    for clip in clips([*WOMEN[:2], *MEN[:2]], ["DFA", "TSI", "TAI"]):
        is_cut = clip.name.startswith("1002_DFA")
        shutil.copy(cut if is_cut else said, root / "AudioWAV" / f"{clip.name}.wav")
        vote = "N:S" if clip.name.startswith("1003_DFA_SAD") else clip.emotion[0].upper()
        level = "90:95" if ":" in vote else "95" if is_cut else "70"
        rows.append(f"AudioWAV/{clip.name}.wav,{vote},{level}")
    (root / "votes.csv").write_text("\n".join(rows) + "\n")
    return root


def make(cremad: Path, to: Path) -> int:
    return main(["train", "demo", "--cremad", str(cremad), "--to", str(to)])


def test_the_command_writes_recordings_that_the_node_hears_as_stated(
    cremad: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(kept_out, "KEPT_OUT_SPEAKERS", {"1001", "1002", "1003", "1005"})
    monkeypatch.setattr(kept_out, "KEPT_OUT_SENTENCES", {"DFA", "TAI", "TSI"})
    to = tmp_path / "demo"
    assert make(cremad, to) == 0
    assert "speakers 1001, 1002, 1003, 1005\n" in capsys.readouterr().out
    spoken = json.loads((to / "recording.json").read_text())
    assert Counter(one["emotion"] for one in spoken) == dict.fromkeys(ACTED, 2)
    middles = [
        (one.start + one.samples.size / 2) / RATE_HZ
        for one in joined.utterances(Recording(to / "recording.ogg").samples())
    ]
    for one, middle in zip(spoken, middles, strict=True):
        assert one["start_s"] < middle < one["end_s"]
    assert joined.utterances(Recording(to / "before.ogg").samples())
    assert all(one["clip"] in (to / "ATTRIBUTION.md").read_text() for one in spoken)
    said = " ".join(one["clip"] for one in spoken)
    assert "1002_DFA" not in said
    assert "1003_DFA_SAD" not in said


def test_clips_that_networks_may_have_learnt_are_refused(
    cremad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_out, "KEPT_OUT_SPEAKERS", {"1001", "1002", "1003"})
    with pytest.raises(CorpusError, match=r"the networks learn from .*1005.*; name the speakers"):
        demo.make(cremad, tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_a_folder_without_votes_is_named_with_the_remedy(cremad: Path, tmp_path: Path) -> None:
    (cremad / "votes.csv").unlink()
    with pytest.raises(CorpusError, match="holds no votes of listeners for its 72 clips; `affectd"):
        demo.make(cremad, tmp_path / "demo")


@pytest.mark.parametrize(
    ("name", "is_out"),
    [
        ("1016_IEO_ANG_HI", True),
        ("1001_ITH_ANG_XX", True),
        ("1016_TSI_NEU_XX", True),
        ("1001_IEO_ANG_HI", False),
        ("03-01-01-01-01-01-01", False),
    ],
)
def test_a_clip_is_kept_out_by_its_speaker_or_its_sentence(name: str, is_out: bool) -> None:
    assert kept_out.is_kept_out(name) is is_out


def test_the_clips_of_the_demo_are_of_speakers_and_sentences_that_are_kept_out() -> None:
    for one in SPOKEN:
        speaker, sentence, *_ = one["clip"].split("_")
        assert speaker in kept_out.KEPT_OUT_SPEAKERS
        assert sentence in kept_out.KEPT_OUT_SENTENCES


def test_the_recording_of_the_demo_is_twelve_utterances_at_the_stated_times() -> None:
    found = joined.utterances(Recording(DEMO).samples())
    spans = tuple((one["start_s"], one["end_s"]) for one in SPOKEN)
    assert len(spans) == 12
    assert joined.Joined(np.zeros(0, np.int16), spans).fits(found)


def test_about_24_other_utterances_are_heard_before_and_both_recordings_are_small() -> None:
    before = DEMO.with_name("before.ogg")
    assert 20 <= len(joined.utterances(Recording(before).samples())) <= 36
    assert DEMO.stat().st_size + before.stat().st_size < 500_000


@pytest.mark.slow
def test_the_clips_of_the_demo_follow_from_the_votes() -> None:
    if not (DATA / "cremad").is_dir():
        pytest.skip(f"CREMA-D is not beside this checkout ({DATA / 'cremad'})")
    eligible = [c for c in demo.load(DATA / "cremad") if c.is_recognised and demo.is_whole(c)]
    assert names(demo.choose(eligible)) == [one["clip"] for one in SPOKEN]
