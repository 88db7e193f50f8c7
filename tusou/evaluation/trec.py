"""TREC's formats: runs (`topic Q0 item rank score tag`), judgments (`topic 0 item grade`), and
judgments of items drawn at random (`topic item grade method probability`, as TREC's prels).

TREC ids are words, so other ids are compared with them as strings.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId

_RUN_COLUMNS, _PRELS_COLUMNS, _QRELS_COLUMNS = 6, 5, 4


class RankedItem(NamedTuple):
    """An item in a TREC run."""

    item: str
    rank: int
    score: float


class TrecJudgment(NamedTuple):
    """The grade of an item, and the probability that it was drawn to be judged, if it was."""

    topic: str
    item: str
    grade: int
    probability: float | None = None


def is_run(line: bytes) -> bool:
    """Return whether a line has the form of a TREC run, unlike one of JSON."""
    words = line.split()
    return len(words) == _RUN_COLUMNS and words[1].upper() == b"Q0"


def is_qrels(line: bytes) -> bool:
    """Return whether a line has the form of TREC judgments, unlike one of JSON."""
    words = line.split()
    return len(words) == _QRELS_COLUMNS and words[3].lstrip(b"+-").isdigit()


def is_prels(line: bytes) -> bool:
    """Return whether a line has the form of judgments with probabilities."""
    words = line.split()
    return len(words) == _PRELS_COLUMNS and words[2].lstrip(b"+-").isdigit()


def parse_run_row(line: bytes) -> tuple[str, RankedItem]:
    """Return the topic and the ranked item of a line; ValueError if it is malformed."""
    words = _split_words(line, _RUN_COLUMNS, "topic Q0 item rank score tag")
    try:
        rank, score = int(words[3]), float(words[4])
    except ValueError:
        raise ValueError("rank must be a whole number and score a number") from None
    if not isfinite(score):
        raise ValueError("score must be a finite number")
    return words[0], RankedItem(words[2], rank, score)


def parse_qrels_row(line: bytes) -> TrecJudgment:
    """Return the judgment of a line; ValueError if it is malformed."""
    words = _split_words(line, _QRELS_COLUMNS, "topic 0 item grade")
    try:
        return TrecJudgment(words[0], words[2], int(words[3]))
    except ValueError:
        raise ValueError("grade must be a whole number") from None


def parse_prels_row(line: bytes) -> TrecJudgment:
    """Return the judgment of a drawn item; ValueError if the line is malformed."""
    words = _split_words(line, _PRELS_COLUMNS, "topic item grade method probability")
    try:
        grade, probability = int(words[2]), float(words[4])
    except ValueError:
        raise ValueError("grade must be a whole number and the probability a number") from None
    if not 0 < probability <= 1:
        raise ValueError("the probability must be above 0 and at most 1")
    return TrecJudgment(words[0], words[1], grade, probability)


def format_run(
    rankings: Mapping[ItemId, Sequence[ItemId]],
    scores: Mapping[ItemId, Sequence[float]],
    tag: str,
) -> str:
    """Return the text of a TREC run; lists without scores get descending ones to keep their order.

    Raises InvalidRequest for an id with blanks in it.
    """
    lines = []
    for topic, items in rankings.items():
        item_scores = scores.get(topic) or range(len(items), 0, -1)
        for rank, (item, score) in enumerate(zip(items, item_scores, strict=True), start=1):
            row = f"{_format_word(topic)} Q0 {_format_word(item)} {rank} {float(score)!r} {tag}\n"
            lines.append(row)
    return "".join(lines)


def format_qrels(grades: Mapping[ItemId, Mapping[ItemId, int]]) -> str:
    """Return the text of TREC judgments; the format has no line for a query without items.

    Raises InvalidRequest for an id with blanks in it.
    """
    return "".join(
        f"{_format_word(topic)} 0 {_format_word(item)} {grade}\n"
        for topic, item_grades in grades.items()
        for item, grade in item_grades.items()
    )


def format_prels(
    grades: Mapping[ItemId, Mapping[ItemId, int]],
    probabilities: Mapping[ItemId, Mapping[ItemId, float]],
    method: str,
) -> str:
    """Return the text of judgments of drawn items; `method` is one word about the drawing.

    Raises InvalidRequest for an id with blanks in it.
    """
    return "".join(
        f"{_format_word(topic)} {_format_word(item)} {grade} {method} "
        f"{probabilities[topic][item]!r}\n"
        for topic, item_grades in grades.items()
        for item, grade in item_grades.items()
    )


def _split_words(line: bytes, count: int, form: str) -> list[str]:
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if len(words) != count:
        raise ValueError(f"expected `{form}`" if words else "blank line")
    return words


def _format_word(value: ItemId) -> str:
    text = str(value)
    if text.split() != [text]:
        raise InvalidRequest(f"the id {text!r} has blanks in it, which TREC's formats cannot hold")
    return text
