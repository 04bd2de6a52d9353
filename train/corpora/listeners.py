"""What listeners of CREMA-D heard in the voice alone, which often is not what was meant."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from affectd.train.corpora.corpus import CorpusError

# The publishers' table where `fetch` puts it, where it lies in a clone and in an archive of their
# repository, and a shorter table.
_TABLES: Final = (
    "summaryTable.csv",
    "processedResults/summaryTable.csv",
    "*/processedResults/summaryTable.csv",
    "votes.csv",
)
_COLUMNS: Final = (("FileName", "VoiceVote", "VoiceLevel"), ("file", "voice_vote", "voice_level"))
_LETTERS: Final = {
    "A": "angry",
    "D": "disgusted",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
}
_REMEDY: Final = "remove it and run `affectd train fetch cremad` for the publishers' table"


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer that most listeners gave to one clip."""

    emotions: tuple[str, ...]  # of EMOTIONS; several where they won equally many listeners
    level: float  # rated strength, 0..100: mean over the listeners who gave a winning answer


def voice_votes(root: Path) -> dict[str, Vote]:
    """Votes of the listeners who had the voice only, by the name of the clip without suffix.

    root: the folder of CREMA-D. Returns nothing if no table of votes lies there.
    The publishers state a mean level for each winning answer; the level here is the mean of those.
    Raises CorpusError, with file and line, for a table that cannot be read.
    Source: processedResults/summaryTable.csv of the corpus, as its summarizeVotes.r computes it.
    """
    tables = (path for pattern in _TABLES for path in sorted(root.glob(pattern)))
    table = next(tables, None)
    return {} if table is None else _read(table)


def _read(table: Path) -> dict[str, Vote]:
    votes: dict[str, Vote] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = _columns(table, reader.fieldnames or ())
            for row in reader:
                name, vote = _vote(table, reader.line_num, [row[column] for column in columns])
                if name in votes:
                    raise _damaged(table, reader.line_num, f"{name} has a vote already")
                votes[name] = vote
    except OSError as error:
        raise CorpusError(
            f"{table} cannot be read ({error.strerror}); allow your user to read it"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{table} is not a CSV file in UTF-8 ({error}); {_REMEDY}") from error
    if not votes:
        raise _damaged(table, 1, "no line with a vote follows")
    return votes


def _columns(table: Path, found: Sequence[str]) -> tuple[str, ...]:
    for columns in _COLUMNS:
        if set(columns) <= set(found):
            return columns
    wanted = " or ".join(", ".join(columns) for columns in _COLUMNS)
    raise _damaged(table, 1, f"it must name the columns {wanted}")


def _vote(table: Path, line: int, cells: Sequence[str | None]) -> tuple[str, Vote]:
    file, answer, strength = ((cell or "").strip() for cell in cells)
    letters, levels = answer.split(":"), strength.split(":")
    name = Path(file).stem
    if not name:
        raise _damaged(table, line, "the clip has no name")
    if unknown := [letter for letter in letters if letter not in _LETTERS]:
        raise _damaged(table, line, f"the vote {unknown[0]!r} is none of {', '.join(_LETTERS)}")
    if len(levels) != len(letters):
        raise _damaged(table, line, f"the vote {answer} needs as many levels, not {strength!r}")
    return name, Vote(tuple(_LETTERS[letter] for letter in letters), _level(table, line, levels))


def _level(table: Path, line: int, levels: Sequence[str]) -> float:
    try:
        numbers = [float(level) for level in levels]
    except ValueError as error:
        raise _damaged(table, line, f"the level {':'.join(levels)!r} is no number") from error
    if not all(0 <= number <= 100 for number in numbers):
        raise _damaged(table, line, f"the level {':'.join(levels)} is not within 0 to 100")
    return sum(numbers) / len(numbers)


def _damaged(table: Path, line: int, why: str) -> CorpusError:
    return CorpusError(f"{table}, line {line}: {why}; {_REMEDY}")
