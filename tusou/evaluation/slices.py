"""Parts of a query set that may score otherwise than the whole."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tusou.core.arrays import Ids
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.text.negation import parse_negation

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LATIN = re.compile(r"[A-Za-z]")
# Where a band of lengths (characters) or of numbers of correct items begins.
_LENGTHS = (1, 5, 9, 13, 21)
_POSITIVES = (0, 1, 2, 6, 11)


@dataclass(frozen=True, slots=True, eq=False)
class QuerySlice:
    """The queries that have something in common."""

    by: str
    label: str
    places: Ids  # of its queries in the answers


def slices(answers: Judgments) -> list[QuerySlice]:
    """Divide the queries by each thing that is known of them; what divides nothing is left out."""
    found: list[QuerySlice] = []
    for by, label_of in _KINDS.items():
        labels = [label_of(row) for row in answers.rows]
        named = {label: order for order, label in enumerate(dict.fromkeys(labels)) if label}
        parts = [
            QuerySlice(by, label, np.flatnonzero(np.array([one == label for one in labels])))
            for label in sorted(named, key=_natural if by in _BANDS else named.__getitem__)
        ]
        if len(parts) > 1:
            found += parts
    return found


def _length(row: JudgedQuery) -> str | None:
    return None if row.text is None else _band(len(row.text.strip()), _LENGTHS)


def _positives(row: JudgedQuery) -> str | None:
    return _band(sum(grade > 0 for grade in (row.grades or {}).values()), _POSITIVES)


def _language(row: JudgedQuery) -> str | None:
    if row.text is None:
        return None
    han, latin = _HAN.search(row.text), _LATIN.search(row.text)
    if han:
        return "Chinese with Latin letters" if latin else "Chinese"
    return "Latin letters" if latin else "neither"


def _negation(row: JudgedQuery) -> str | None:
    if row.text is None:
        return None
    return "refuses something" if parse_negation(row.text) else "refuses nothing"


def _category(row: JudgedQuery) -> str | None:
    return row.category


_KINDS: dict[str, Callable[[JudgedQuery], str | None]] = {
    "length": _length,
    "positives": _positives,
    "category": _category,
    "language": _language,
    "negation": _negation,
}
_BANDS = ("length", "positives")


def _band(value: int, starts: tuple[int, ...]) -> str:
    place = max(0, int(np.searchsorted(starts, value, "right")) - 1)
    first = starts[place]
    if place + 1 == len(starts):
        return f"{first}+"
    last = starts[place + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def _natural(label: str) -> int:
    return int(re.split(r"\D", label)[0])
