import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora import table
from affectd.train.corpora.corpus import Clip, CorpusError
from affectd.train.corpora.layouts import LAYOUTS, load, word
from tests.conftest import DATA


def record(root: Path, *names: str) -> None:
    """A tenth of a second of silence under each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(1600, np.int16), 16_000)


def only_clip(key: str, root: Path) -> tuple[str, str, str, str]:
    (clip,) = load(key, root).clips
    return told(clip)


def told(clip: Clip) -> tuple[str, str, str, str]:
    return clip.speaker, EMOTIONS[clip.emotion], clip.gender, clip.intensity


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("ravdess", "Actor_07/03-01-05-02-01-02-07.wav", ("07", "angry", "m", "strong")),
        ("ravdess", "Actor_08/03-01-01-01-02-01-08.wav", ("08", "neutral", "f", "normal")),
        ("ravdess", "speech/Actor_24/03-01-08-01-02-02-24.wav", ("24", "surprised", "f", "normal")),
        ("ravdess_song", "Actor_01/03-02-02-01-01-01-01.wav", ("01", "calm", "m", "normal")),
        ("cremad", "AudioWAV/1001_DFA_ANG_XX.wav", ("1001", "angry", "m", "")),
        ("cremad", "AudioWAV/1091_IEO_HAP_HI.wav", ("1091", "happy", "f", "strong")),
        ("cremad", "AudioWAV/1076_IEO_SAD_LO.wav", ("1076", "sad", "f", "normal")),
        ("cremad", "AudioWAV/1040_ITH_SAD_X.wav", ("1040", "sad", "m", "")),
        ("nemo", "nEMO-main/samples/EB0_anger_1.wav", ("EB0", "angry", "f", "")),
        ("nemo", "samples/WR0_surprised_64.wav", ("WR0", "surprised", "m", "")),
        ("banglaser", "BanglaSER/Actor 7/03-01-01-01-01-01-07.wav", ("07", "happy", "m", "")),
        ("banglaser", "BanglaSER/Actor_34/03-01-02-01-03-02-34.wav", ("34", "sad", "f", "")),
        ("banglaser", "audio/01-01-04-02-03-03-15.wav", ("15", "surprised", "m", "")),
        ("banglaser", "03-01-05-01-02-03-26.wav", ("26", "neutral", "f", "")),
        ("tess", "OAF_Fear/OAF_back_fear.wav", ("OAF", "fearful", "f", "")),
        ("tess", "OAF_Pleasant_surprise/OAF_back_ps.wav", ("OAF", "surprised", "f", "")),
        ("tess", "YAF_pleasant_surprised/YAF_back_ps.wav", ("YAF", "surprised", "f", "")),
        ("savee", "AudioData/DC/a01.wav", ("DC", "angry", "m", "")),
        ("savee", "AudioData/KL/su15.wav", ("KL", "surprised", "m", "")),
        ("savee", "JE_sa03.wav", ("JE", "sad", "m", "")),
        ("emodb", "wav/03a01Fa.wav", ("03", "happy", "m", "")),
        ("emodb", "wav/16b10Wb.wav", ("16", "angry", "f", "")),
        ("emodb", "wav/08a07Na.wav", ("08", "neutral", "f", "")),
        ("emovo", "EMOVO/f1/dis-f1-b1.wav", ("f1", "disgusted", "f", "")),
        ("emovo", "m3/tri-m3-n5.wav", ("m3", "sad", "m", "")),
        (
            "indian",
            "audio/bacho-safe-calm-1562996360436-c7b431195e2871a0c0b0825234c1e22b.wav",
            ("c7b431195e28", "neutral", "", ""),
        ),
        (
            "indian",
            "yes-glass break-fearful-??-b8dfe36d8ecaf502dd7cacc856bb8013.wav",
            ("b8dfe36d8eca", "fearful", "", ""),
        ),
    ],
)
def test_speaker_and_label_come_from_the_publishers_file_names(
    key: str, name: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    record(tmp_path, name)
    people = key.removesuffix("_song")  # the same actors speak and sing
    assert only_clip(key, tmp_path) == (f"{people}_{expected[0]}", *expected[1:])


@pytest.mark.parametrize("key", sorted(set(LAYOUTS) - {"indian"}))
def test_the_example_that_errors_show_is_one_of_the_corpus(key: str, tmp_path: Path) -> None:
    record(tmp_path, LAYOUTS[key].example)
    assert len(load(key, tmp_path).clips) == 1


def test_the_older_actress_of_tess_is_one_speaker_though_one_name_lacks_a_letter(
    tmp_path: Path,
) -> None:
    record(tmp_path, "OAF_neutral/OA_bite_neutral.wav", "OAF_neutral/OAF_back_neutral.wav")
    assert {clip.speaker for clip in load("tess", tmp_path).clips} == {"tess_OAF"}


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("ravdess", "Actor_07/03-02-05-01-01-01-07.wav"),
        ("ravdess", "Actor_07/02-01-05-01-01-01-07.wav"),
        ("ravdess_song", "Actor_07/03-01-05-01-01-01-07.wav"),
        ("ravdess", "noise/rain.wav"),
        ("ravdess", "Actor_07/._03-01-05-01-01-01-07.wav"),
    ],
)
def test_recordings_that_are_not_of_the_corpus_are_passed_over(
    key: str, other: str, tmp_path: Path
) -> None:
    record(
        tmp_path, "Actor_07/03-01-05-02-01-02-07.wav", "Actor_07/03-02-05-02-01-02-07.wav", other
    )
    corpus = load(key, tmp_path)
    assert (len(corpus.clips), corpus.left_out) == (1, ())


def test_ravdess_and_banglaser_are_told_apart_by_folder_though_their_names_are_alike(
    tmp_path: Path,
) -> None:
    name = "03-01-03-01-02-01-07.wav"
    record(tmp_path, f"Actor_07/{name}", f"BanglaSER/Actor 7/{name}", f"BanglaSER/Actor_07/{name}")
    (ravdess,) = load("ravdess", tmp_path).clips
    assert told(ravdess) == ("ravdess_07", "happy", "m", "normal")
    assert {told(clip)[:2] for clip in load("banglaser", tmp_path).clips} == {
        ("banglaser_07", "angry")
    }


@pytest.mark.parametrize("key", ["ravdess", "ravdess_song", "banglaser"])
@pytest.mark.parametrize(
    "name", ["Actor_07/03-02-05-01-02-01-07.wav", "BanglaSER/Actor 7/03-01-05-01-02-01-07.wav"]
)
def test_a_recording_of_one_of_these_corpora_is_not_taken_for_another(
    key: str, name: str, tmp_path: Path
) -> None:
    record(tmp_path, name)
    if (key, name[:6]) in {("ravdess_song", "Actor_"), ("banglaser", "Bangla")}:
        assert len(load(key, tmp_path).clips) == 1
    else:
        with pytest.raises(CorpusError, match="must contain"):
            load(key, tmp_path)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("emodb", "wav/03a01Lb.wav"),
        ("indian", "background-safe-None-20190701193438-d14a028c2a3a2bc9476102bb288234c4.wav"),
    ],
)
def test_an_emotion_that_affectd_lacks_is_passed_over(key: str, name: str, tmp_path: Path) -> None:
    record(
        tmp_path,
        name,
        "wav/03a01Fa.wav",
        "bacho-safe-angry-1562996360436-c7b431195e2871a0c0b0825234c1e22b.wav",
    )
    corpus = load(key, tmp_path)
    assert (len(corpus.clips), corpus.left_out) == (1, ())


def test_mp3_copies_in_the_repository_of_cremad_are_not_further_clips(tmp_path: Path) -> None:
    record(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    (tmp_path / "AudioMP3").mkdir()
    (tmp_path / "AudioMP3" / "1001_DFA_ANG_XX.mp3").touch()
    (clip,) = load("cremad", tmp_path).clips
    assert clip.path.suffix == ".wav"


def test_a_clip_that_a_copy_of_the_corpus_holds_twice_is_taken_once(tmp_path: Path) -> None:
    name = "Actor_07/03-01-05-02-01-02-07.wav"
    record(tmp_path, name, f"audio_speech_actors_01-24/{name}")
    corpus = load("ravdess", tmp_path)
    assert (len(corpus.clips), corpus.left_out) == (1, ())


RAVDESS = [
    f"Actor_{actor:02}/03-01-05-{level}-01-{repetition}-{actor:02}.wav"
    for actor in range(1, 6)
    for level in ("01", "02")
    for repetition in ("01", "02")
]


@pytest.mark.parametrize(
    ("key", "name", "why"),
    [
        ("ravdess", "Actor_07/03-01-09-01-01-01-07.wav", "no such emotion, intensity, sentence"),
        ("ravdess", "Actor_07/03-01-05-03-01-01-07.wav", "no such emotion, intensity, sentence"),
        ("ravdess", "Actor_07/03-01-05-01-01-01-25.wav", "repetition or actor"),
        ("ravdess", "Actor_07/03-01-05-01-01-07.wav", "it does not have seven numbers"),
        ("ravdess", "Actor_07/03-01-05-01-01-01-07 (1).wav", "it does not have seven numbers"),
        ("cremad", "AudioWAV/1001_DFA_JOY_XX.wav", "'JOY' is none of ANG, DIS"),
        ("cremad", "AudioWAV/1001_DFA_ANG_ZZ.wav", "'ZZ' is none of LO, MD"),
        ("cremad", "AudioWAV/1092_DFA_ANG_XX.wav", "no actor 1092"),
        ("nemo", "samples/EB0_boredom_1.wav", "'boredom' is none of"),
        ("banglaser", "audio/03-01-06-01-01-01-07.wav", "no such emotion, intensity, sentence"),
        ("banglaser", "audio/03-01-05-01-04-01-07.wav", "no such emotion, intensity, sentence"),
        ("banglaser", "audio/03-01-05-01-01-01-35.wav", "repetition or actor"),
        ("banglaser", "audio/03-01-05-01-01-07.wav", "it does not have seven numbers"),
        ("tess", "OAF_angry/OAF_back_angy.wav", "'angy' is none of"),
        ("savee", "AudioData/DC/x01.wav", "'x' is none of"),
        ("emodb", "wav/03a01Xa.wav", "'X' is none of"),
        ("emovo", "f1/ira-f1-b1.wav", "'ira' is none of"),
        ("indian", "no-safe-bored-1562996360436-c7b431195e28.wav", "'bored' is none of"),
    ],
)
def test_a_file_whose_name_makes_no_sense_is_left_out_and_reported(
    key: str, name: str, why: str, tmp_path: Path
) -> None:
    record(tmp_path, *names_of(key), name)
    corpus = load(key, tmp_path)
    assert [one.path for one in corpus.left_out] == [tmp_path / name]
    assert f"/{Path(name).name}: its name makes no sense" in corpus.report()
    assert why in corpus.report()


def names_of(key: str) -> list[str]:
    """Ten sound names, so that one in eleven is odd."""
    return {
        "ravdess": RAVDESS[:10],
        "cremad": [f"AudioWAV/10{actor}_DFA_ANG_XX.wav" for actor in range(10, 20)],
        "nemo": [f"samples/EB0_anger_{i}.wav" for i in range(10)],
        "banglaser": [f"audio/03-01-03-02-01-01-{actor}.wav" for actor in range(10, 20)],
        "tess": [f"OAF_angry/OAF_word{i}_angry.wav" for i in range(10)],
        "savee": [f"AudioData/DC/a{i:02}.wav" for i in range(10)],
        "emodb": [f"wav/03a{i:02}Fa.wav" for i in range(10)],
        "emovo": [f"f1/gio-f1-b{i}.wav" for i in range(10)],
        "indian": [f"no-safe-angry-{i}-c7b431195e28.wav" for i in range(10)],
    }[key]


def test_a_corpus_of_which_more_than_a_tenth_makes_no_sense_is_refused(tmp_path: Path) -> None:
    record(tmp_path, *RAVDESS[:8], "Actor_07/03-01-09-01-01-01-07.wav")
    with pytest.raises(CorpusError, match=r"1 of 9 files .* \(11%, at most 10% may be\)"):
        load("ravdess", tmp_path)


def test_a_corpus_none_of_which_makes_sense_is_refused_for_that_reason(tmp_path: Path) -> None:
    record(tmp_path, "Actor_07/03-01-09-01-01-01-07.wav")
    with pytest.raises(CorpusError, match="1 of 1 files had to be left out"):
        load("ravdess", tmp_path)


@pytest.mark.parametrize("key", LAYOUTS)
def test_a_folder_without_the_corpus_is_an_error_that_says_how_to_get_it(
    key: str, tmp_path: Path
) -> None:
    record(tmp_path, "rain.wav")
    with pytest.raises(CorpusError, match=f"must contain .*affectd train fetch {key}"):
        load(key, tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere is not a folder; give the folder"):
        load("ravdess", tmp_path / "nowhere")


def test_the_report_counts_clips_speakers_and_emotions(tmp_path: Path) -> None:
    record(tmp_path, *RAVDESS)
    report = load("ravdess", tmp_path).report()
    assert report.startswith("RAVDESS speech: 20 clips of 5 speakers (CC BY-NC-SA 4.0)\n")
    assert "happy 0, sad 0, angry 20," in report


# A table of one's own recordings.


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "clips.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_table_names_file_speaker_and_emotion(tmp_path: Path) -> None:
    record(tmp_path, "kitchen/1.wav")
    path = write(tmp_path, "file,speaker,emotion\nkitchen/1.wav,anna,angry\n")
    (clip,) = table.load(path).clips
    assert clip.path == tmp_path / "kitchen" / "1.wav"
    assert told(clip) == (f"{tmp_path.name}_anna", "angry", "", "")


def test_a_table_may_tell_gender_and_intensity_and_more(tmp_path: Path) -> None:
    record(tmp_path, "1.wav")
    path = write(
        tmp_path,
        "file,age,speaker,gender,intensity,emotion\n1.wav,30,anna,Female,strong,happiness\n",
    )
    (clip,) = table.load(path).clips
    assert told(clip)[1:] == ("happy", "f", "strong")


def test_a_table_saved_by_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    record(tmp_path, "1.wav")
    path = write(tmp_path, "file,speaker,emotion\r\n1.wav,anna,sad\r\n", "utf-8-sig")
    assert len(table.load(path).clips) == 1


def test_speakers_are_told_apart_by_folder_though_the_table_is_named_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, "1.wav")
    write(tmp_path, "file,speaker,emotion\n1.wav,anna,sad\n")
    monkeypatch.chdir(tmp_path)
    (clip,) = table.load(Path("clips.csv")).clips
    assert clip.speaker == f"{tmp_path.name}_anna"


def test_a_file_that_a_table_names_in_vain_is_left_out_and_reported(tmp_path: Path) -> None:
    record(tmp_path, *(f"{i}.wav" for i in range(10)))
    lines = [f"{i}.wav,anna,sad" for i in range(11)]
    corpus = table.load(write(tmp_path, "\n".join(["file,speaker,emotion", *lines])))
    assert len(corpus.clips) == 10
    assert "/10.wav: there is no such file" in corpus.report()


def test_a_table_more_than_a_tenth_of_whose_files_are_missing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "file,speaker,emotion\n1.wav,anna,sad\n")
    with pytest.raises(CorpusError, match="1 of 1 files had to be left out"):
        table.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,speaker,emotion\n1.wav,anna,bored\n", "line 2: 'bored' is none of the emotions"),
        ("file,emotion\n1.wav,sad\n", "has no column speaker; its first line must name"),
        ("file;speaker;emotion\n1.wav;anna;sad\n", "has no column file, speaker, emotion"),
        ("", "has no column file, speaker, emotion"),
        ("file,speaker,emotion\n", "names no recording; write one line for each"),
        ("file,speaker,emotion\n1.wav,,sad\n", "line 2: file, speaker, emotion must all be given"),
        ("file,speaker,emotion\n1.wav,anna\n", "line 2: file, speaker, emotion must all be given"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_that_says_where(
    text: str, message: str, tmp_path: Path
) -> None:
    record(tmp_path, "1.wav")
    with pytest.raises(CorpusError, match=message):
        table.load(write(tmp_path, text))


def test_a_recording_named_twice_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "a.wav")
    path = write(tmp_path, "file,speaker,emotion\na.wav,Ann,sad\na.wav,Ann,happy\n")
    with pytest.raises(CorpusError, match=r"line 3: a\.wav is in line 2 already"):
        table.load(path)


def test_blanks_around_a_name_do_not_make_another_speaker(tmp_path: Path) -> None:
    record(tmp_path, "a.wav", "b.wav")
    path = write(tmp_path, "file,speaker,emotion\na.wav,Ann,sad\nb.wav, Ann , happy\n")
    assert len({clip.speaker for clip in table.load(path).clips}) == 1


def test_a_table_in_a_folder_named_like_a_corpus_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "ravdess/a.wav")
    path = write(tmp_path / "ravdess", "file,speaker,emotion\na.wav,Ann,sad\n")
    with pytest.raises(CorpusError, match="named like the corpus ravdess; rename the folder"):
        table.load(path)


def test_a_table_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "file,speaker,emotion\n1.wav,José,sad\n", "latin-1")
    with pytest.raises(CorpusError, match=r"is not a CSV file in UTF-8 .*; save it as one"):
        table.load(path)


def test_a_missing_table_is_an_error_that_says_what_a_table_is(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot be read .* with the columns file, speaker"):
        table.load(tmp_path / "clips.csv")


# The real ones.


def real(folder: str) -> Path:
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is not beside this checkout ({DATA / folder})")
    return DATA / folder


@pytest.mark.parametrize(
    ("key", "folder", "clips", "speakers"),
    [
        ("ravdess", "ravdess", 1440, 24),
        ("cremad", "cremad", 7434, 91),
        ("nemo", "nemo", 4481, 9),
        ("banglaser", "banglaser", 1464, 34),
        ("indian", "indian_emospeech", 2017, 105),
    ],
)
def test_a_real_corpus_is_read_whole(key: str, folder: str, clips: int, speakers: int) -> None:
    corpus = load(key, real(folder))
    assert len(corpus.clips) == clips
    assert len({clip.speaker for clip in corpus.clips}) == speakers
    assert corpus.left_out == ()


def test_real_ravdess_has_sixty_clips_of_each_actor() -> None:
    counts = Counter(clip.speaker for clip in load("ravdess", real("ravdess")).clips)
    assert set(counts.values()) == {60}


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("cremad", "cremad"),
        ("nemo", "nemo"),
        ("banglaser", "banglaser"),
        ("indian", "indian_emospeech"),
    ],
)
def test_labels_from_real_file_names_agree_with_the_table_beside_them(
    key: str, folder: str
) -> None:
    root = real(folder)
    with (root / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for clip in load(key, root).clips:
        row = rows.pop(clip.path.relative_to(root).as_posix())
        stated = "neutral" if (key, row["emotion"]) == ("indian", "calm") else word(row["emotion"])
        assert EMOTIONS[clip.emotion] == stated
        assert clip.speaker.split("_", 1)[1] == row["speaker"].split("_", 1)[1]
        assert clip.gender == row.get("gender", "").lower()[:1]
    assert rows == {}
