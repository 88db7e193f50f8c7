"""Grades in the answers of language models, which are JSON at best."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

MAX_GRADE = 3  # of the scale that the model is asked for

_MAX_ANSWER_CHARACTERS = 64 * 1024
_MAX_VALUES = 4096  # places of an answer where a JSON value is tried

_NUMBER_KEYS = ("number", "编号", "id", "index", "candidate")
_GRADE_KEYS = ("grade", "score", "分数", "评分", "relevance")
_GRADES_KEYS = ("grades", "scores", "results", "分数", "评分")
_ORDER_KEYS = ("order", "ranking", "排序")

_VALUE_START = re.compile(r"[\[{]")
_BARE_GRADE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*")
_END_OF_THOUGHT = "</think>"
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)  # NaN and Infinity are not grades

# A candidate's number and its grade, not yet checked.
_Pair: TypeAlias = tuple[object, object]


def parse_grades(answer: str, count: int, *, whole_list: bool) -> dict[int, float]:
    """Return the grades of `count` candidates, from 0 to 1, by position.

    The answer may stand in a code fence, behind prose or thoughts, or be cut off. Candidates that
    it does not grade, grades twice or grades with a wrong value are left out. Grades are on the
    scale of 0 to 3 that was asked for; those that are all at most 1, and not all integers, are
    taken for shares. An order of candidates counts if there are no grades and they are the
    `whole_list` of a query's: places in two lists cannot be compared.
    """
    text = answer[:_MAX_ANSWER_CHARACTERS].rpartition(_END_OF_THOUGHT)[2]
    values = list(_json_values(text))
    pairs = [pair for value in values for pair in _pairs(value, count)]
    if not pairs and count == 1 and (bare := _BARE_GRADE.fullmatch(text)):
        pairs = [(1, bare[1])]
    if grades := _check(pairs, count):
        return grades
    return _places(values, count) if whole_list and not pairs else {}


def _json_values(text: str) -> Iterator[Any]:
    """Yield the JSON arrays and objects in a text; of one that is cut off, those inside it."""
    position = 0
    for _ in range(_MAX_VALUES):
        start = _VALUE_START.search(text, position)
        if start is None:
            return
        try:
            value, position = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
        else:
            yield value


def _pairs(value: Any, count: int) -> Iterator[_Pair]:
    """Yield numbers and grades in the forms that models use."""
    if isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                yield from _pairs(each, count)
        return
    if not isinstance(value, dict):
        return
    grade = _first(value, _GRADE_KEYS)
    number = _first(value, _NUMBER_KEYS)
    nested = _first(value, _GRADES_KEYS)
    if isinstance(nested, list | dict):
        yield from _nested_pairs(nested, count)
    elif grade is not None and (number is not None or count == 1):
        yield (1 if number is None else number), grade
    elif all(key.isdecimal() for key in value):
        yield from value.items()


def _nested_pairs(value: list[Any] | dict[str, Any], count: int) -> Iterator[_Pair]:
    if isinstance(value, dict):
        yield from value.items()
    elif len(value) == count and not any(isinstance(each, list | dict) for each in value):
        yield from enumerate(value, 1)
    else:
        yield from _pairs(value, count)


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _check(pairs: list[_Pair], count: int) -> dict[int, float]:
    """Return the usable grades as shares, by position."""
    numbers = Counter(_position(number, count) for number, _ in pairs)
    grades = {
        position: grade
        for number, value in pairs
        if (position := _position(number, count)) is not None
        and numbers[position] == 1
        and (grade := _finite(value)) is not None
        and 0 <= grade <= MAX_GRADE
    }
    values = grades.values()
    shares = max(values, default=0) <= 1 and any(grade % 1 for grade in values)
    return {position: grade if shares else grade / MAX_GRADE for position, grade in grades.items()}


def _places(values: list[Any], count: int) -> dict[int, float]:
    """Return scores by the place in an order: 1 for the first, 1 / `count` for the last."""
    orders = [
        order
        for value in values
        if isinstance(value, dict) and isinstance(order := _first(value, _ORDER_KEYS), list)
    ]
    if len(orders) != 1:
        return {}
    positions = [_position(number, count) for number in orders[0]]
    times = Counter(positions)
    known = [each for each in positions if each is not None and times[each] == 1]
    return {position: 1 - place / count for place, position in enumerate(known)}


def _position(number: object, count: int) -> int | None:
    value = _finite(number)
    if value is None or value % 1 or not 1 <= value <= count:
        return None
    return int(value) - 1


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
