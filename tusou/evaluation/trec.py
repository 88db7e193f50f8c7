"""TREC's formats: runs (`topic Q0 item rank score tag`) and judgments (`topic 0 item grade`).

TREC ids are words: whatever is compared with them is compared as text.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId

_RUN_COLUMNS, _QRELS_COLUMNS = 6, 4


def is_run(line: bytes) -> bool:
    """Tell a line of a TREC run from one of JSON."""
    words = line.split()
    return len(words) == _RUN_COLUMNS and words[1].upper() == b"Q0"


def is_qrels(line: bytes) -> bool:
    """Tell a line of TREC judgments from one of JSON."""
    words = line.split()
    return len(words) == _QRELS_COLUMNS and words[3].lstrip(b"+-").isdigit()


def run_row(line: bytes) -> tuple[str, str, int, float]:
    """Read topic, item, rank and score; ValueError says what is wrong."""
    words = _words(line, _RUN_COLUMNS, "topic Q0 item rank score tag")
    try:
        rank, score = int(words[3]), float(words[4])
    except ValueError:
        raise ValueError("rank must be a whole number and score a number") from None
    if not isfinite(score):
        raise ValueError("score must be a finite number")
    return words[0], words[2], rank, score


def qrels_row(line: bytes) -> tuple[str, str, int]:
    """Read topic, item and grade; ValueError says what is wrong."""
    words = _words(line, _QRELS_COLUMNS, "topic 0 item grade")
    try:
        return words[0], words[2], int(words[3])
    except ValueError:
        raise ValueError("grade must be a whole number") from None


def ranked(rows: Iterable[tuple[str, int, float]]) -> list[tuple[str, int, float]]:
    """Order (item, rank, score) by score as `trec_eval` does, equal scores by rank."""
    return sorted(rows, key=lambda row: (-row[2], row[1]))


def format_run(
    rankings: Mapping[ItemId, Sequence[ItemId]],
    scores: Mapping[ItemId, Sequence[float]],
    tag: str,
) -> str:
    """Write a run; lists without scores get descending ones, so that their order stands."""
    lines = []
    for topic, items in rankings.items():
        given = scores.get(topic) or [float(len(items) - place) for place in range(len(items))]
        for rank, (item, score) in enumerate(zip(items, given, strict=True), start=1):
            lines.append(f"{_word(topic)} Q0 {_word(item)} {rank} {score!r} {tag}\n")
    return "".join(lines)


def format_qrels(judged: Mapping[ItemId, Mapping[ItemId, int]]) -> str:
    """Write judgments. A query without a correct item has no line: TREC cannot say it."""
    return "".join(
        f"{_word(topic)} 0 {_word(item)} {grade}\n"
        for topic, grades in judged.items()
        for item, grade in grades.items()
    )


def _words(line: bytes, count: int, form: str) -> list[str]:
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if len(words) != count:
        raise ValueError(f"expected `{form}`" if words else "blank line")
    return words


def _word(value: ItemId) -> str:
    text = str(value)
    if text.split() != [text]:
        raise InvalidRequest(f"the id {text!r} has blanks in it, which TREC's formats cannot hold")
    return text
