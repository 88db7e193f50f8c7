"""Reads guidelines and grades from the answers of a language model, in JSON or prose."""

import json
from dataclasses import dataclass
from typing import Any, cast

from tusou.stages.endpoint_grades import MAX_GRADE, parse_grades
from tusou_lab.evalset.judgment import Grade

_SHOWN = 120  # characters of an answer without a grade that are kept as the reason
_LONGEST_REASON = 500
_LONGEST_GUIDELINE = 2000
_END_OF_THOUGHT = "</think>"


@dataclass(frozen=True, slots=True)
class ReadGrade:
    """A grade with its reason; None, and the beginning of the answer, where there is none."""

    grade: Grade | None
    reason: str


def read_grade(answer: str) -> ReadGrade:
    """Return the grade in an answer, which may stand in prose or a code fence.

    Only whole numbers from 0 to 3 are grades.
    """
    value = parse_grades(answer, 1, whole_list=False).get(0)
    grade = None if value is None else value * MAX_GRADE
    if grade is None or abs(grade - round(grade)) > 1e-6:
        return ReadGrade(None, answer.strip()[:_SHOWN])
    reason = _field(answer, "reason") or ""
    return ReadGrade(cast("Grade", round(grade)), reason[:_LONGEST_REASON])


def read_guideline(answer: str) -> str | None:
    """Return the guideline in an answer, or the answer itself if it is plain text; None without."""
    guideline = _field(answer, "guideline")
    if guideline is None:
        plain = answer.rpartition(_END_OF_THOUGHT)[2].strip()
        guideline = None if plain.startswith(("{", "```")) else plain
    return guideline[:_LONGEST_GUIDELINE] if guideline else None


def _field(answer: str, name: str) -> str | None:
    """Return a text in the last JSON object of an answer."""
    text = answer.rpartition(_END_OF_THOUGHT)[2]
    start = text.rfind('{"') if text.rfind('{"') >= 0 else text.rfind("{")
    try:
        value: Any = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    content = value.get(name) if isinstance(value, dict) else None
    return content if isinstance(content, str) else None
