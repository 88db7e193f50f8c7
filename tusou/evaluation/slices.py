"""Slices of a query set: by length, number of correct items, category, language and negation."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tusou.core.arrays import Ids
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.text.negation import parse_negation
from tusou.text.script import HAN, LATIN

# The least value of each band: characters of a query, and numbers of correct items.
_LENGTH_BANDS = (1, 5, 9, 13, 21)
_POSITIVE_BANDS = (0, 1, 2, 6, 11)


@dataclass(frozen=True, slots=True, eq=False)
class QuerySlice:
    """The queries with the same label."""

    by: str
    label: str
    positions: Ids  # of its queries in the judgments


def slice_queries(judgments: Judgments) -> list[QuerySlice]:
    """Return the slices by each property; a property with one label only gives no slices."""
    slices: list[QuerySlice] = []
    for by, label_of in _PROPERTIES.items():
        labels = [label_of(row) for row in judgments.rows]
        order = {label: number for number, label in enumerate(dict.fromkeys(labels)) if label}
        parts = [
            QuerySlice(by, label, np.flatnonzero(np.array([label == other for other in labels])))
            for label in sorted(order, key=_first_number if by in _BANDED else order.__getitem__)
        ]
        if len(parts) > 1:
            slices += parts
    return slices


def _length(query: JudgedQuery) -> str | None:
    return None if query.text is None else _band(len(query.text.strip()), _LENGTH_BANDS)


def _positives(query: JudgedQuery) -> str | None:
    return _band(len(query.correct), _POSITIVE_BANDS)


def _language(query: JudgedQuery) -> str | None:
    if query.text is None:
        return None
    han, latin = HAN.search(query.text), LATIN.search(query.text)
    if han:
        return "Chinese with Latin letters" if latin else "Chinese"
    return "Latin letters" if latin else "neither"


def _negation(query: JudgedQuery) -> str | None:
    if query.text is None:
        return None
    return "refuses something" if parse_negation(query.text) else "refuses nothing"


_PROPERTIES: dict[str, Callable[[JudgedQuery], str | None]] = {
    "length": _length,
    "positives": _positives,
    "category": lambda query: query.category,
    "language": _language,
    "negation": _negation,
}
_BANDED = ("length", "positives")


def _band(value: int, starts: tuple[int, ...]) -> str:
    number = max(0, int(np.searchsorted(starts, value, "right")) - 1)
    first = starts[number]
    if number + 1 == len(starts):
        return f"{first}+"
    last = starts[number + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def _first_number(label: str) -> int:
    return int(re.split(r"\D", label)[0])
