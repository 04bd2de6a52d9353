"""Any folder of recordings with a table that names file, speaker and emotion of each."""

import csv
from pathlib import Path
from typing import Final

from affectd.daemon.emotion.labels import EMOTIONS
from affectd.train.corpora.corpus import Clip, Corpus, CorpusError, LeftOut
from affectd.train.corpora.layouts import LAYOUTS, word

COLUMNS: Final = ("file", "speaker", "emotion")


def load(table: Path) -> Corpus:
    """Load recordings by a CSV table with the columns file, speaker and emotion.

    table: the file itself; its rows name files relative to its folder. Columns gender (f or m)
    and intensity (normal or strong) are read where there are any; others are ignored. The
    emotion is one of the eight, or a usual word for one of them (happiness, fear).
    Raises CorpusError for a table that cannot be read, lacks a column, holds no row, or names
    an emotion that is none of the eight. A missing file is left out and reported.
    """
    name = table.resolve().parent.name
    if name in LAYOUTS:
        raise CorpusError(
            f"{table} lies in a folder named like the corpus {name}; rename the folder"
        )
    seen: dict[Path, int] = {}
    clips: list[Clip] = []
    left_out: list[LeftOut] = []
    for number, row in enumerate(_rows(table), start=2):
        path = table.parent / row["file"]
        if (first := seen.setdefault(path, number)) != number:
            raise CorpusError(
                f"{table}, line {number}: {row['file']} is in line {first} already; remove one"
            )
        if not path.is_file():
            left_out.append(LeftOut(path, "there is no such file"))
            continue
        try:
            emotion = EMOTIONS.index(word(row["emotion"]))
        except ValueError:
            raise CorpusError(
                f"{table}, line {number}: {row['emotion']!r} is none of the emotions "
                f"{', '.join(EMOTIONS)}; correct it or remove the line"
            ) from None
        speaker = f"{name}_{row['speaker']}"
        gender, intensity = row.get("gender") or "", row.get("intensity") or ""
        clips.append(Clip(path, name, speaker, emotion, gender.lower()[:1], intensity))
    if not clips and not left_out:
        raise CorpusError(f"{table} names no recording; write one line for each")
    corpus = Corpus(name, "your own recordings", tuple(clips), tuple(left_out))
    corpus.check()
    return corpus


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = list(reader)
    except OSError as error:
        raise CorpusError(
            f"{table} cannot be read ({error.strerror}); give a CSV file with the columns "
            f"{', '.join(COLUMNS)}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{table} is not a CSV file in UTF-8 ({error}); save it as one"
        ) from error
    if missing := [name for name in COLUMNS if name not in columns]:
        raise CorpusError(
            f"{table} has no column {', '.join(missing)}; its first line must name "
            f"{', '.join(COLUMNS)}"
        )
    for number, row in enumerate(rows, start=2):
        row.update({name: (row[name] or "").strip() for name in COLUMNS})
        if any(not row[name] for name in COLUMNS):
            raise CorpusError(
                f"{table}, line {number}: {', '.join(COLUMNS)} must all be given; fill the line in"
            )
    return rows
