"""Infers the type of an attribute from all its values."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from tusou.attributes.schema import AttributeType
from tusou.attributes.values import DESCRIPTIONS, narrowest_type

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
# Exponents have a sign, as programs write them: 3E8 is a code.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?")
# Values of other types that make texts of all the others are worth a notice up to this share.
_FEW = 0.1

_Pair: TypeAlias = tuple[AttributeType, AttributeType]
_NUMBERS: tuple[_Pair, ...] = (("integer", "number"),)
_WIDENED: tuple[_Pair, ...] = (*_NUMBERS, ("date", "string"))


class TypeCounts:
    """Counts the narrowest types of the values of one attribute."""

    def __init__(self) -> None:
        self._counts = Counter[AttributeType]()
        self._lines: dict[AttributeType, int] = {}  # of the first value of each type

    def add(self, value: object, line: int) -> None:
        """Count a value; one that no attribute may have is not counted."""
        try:
            kind = narrowest_type(value)
        except ValueError:
            return
        self._counts[kind] += 1
        self._lines.setdefault(kind, line)

    @property
    def most_frequent(self) -> AttributeType | None:
        """The type of most values, None without any.

        Integers are numbers where there are numbers, and dates are texts where there are texts.
        """
        counts = self._widened(_WIDENED)
        return max(counts, key=lambda kind: counts[kind], default=None)

    @property
    def common(self) -> AttributeType | None:
        """The type of all values, which is text if they are of several; None without any."""
        counts = self._widened(_WIDENED)
        return "string" if len(counts) > 1 else next(iter(counts), None)

    def exceptions(self, unit: str) -> str | None:
        """Return a phrase for the few values that make texts of all others; None without them.

        `unit` is what a row of the file is called.
        """
        counts = self._widened(_NUMBERS)
        kind, count = max(counts.items(), key=lambda pair: pair[1], default=("string", 0))
        few = counts.total() - count
        if kind == "string" or not 0 < few <= _FEW * counts.total():
            return None
        same = {kind, "integer"} if kind == "number" else {kind}
        line = min(line for other, line in self._lines.items() if other not in same)
        return (
            f"of its {counts.total():,} values, {few:,} cannot be read as {DESCRIPTIONS[kind]}; "
            f"the first is in {unit} {line}"
        )

    def _widened(self, pairs: Iterable[_Pair]) -> Counter[AttributeType]:
        counts = Counter(self._counts)
        for narrow, wide in pairs:
            if narrow in counts and wide in counts:
                counts[wide] += counts.pop(narrow)
        return counts


def parse_cell(text: str) -> object:
    """Return the JSON value that a cell of a table looks like, else its text.

    Integers without leading zeros, decimal numbers, true and false in any case, and JSON lists of
    strings are recognised. Integers beyond 64 bits stay texts, as do numbers that are too large.
    """
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 20 and -(2**63) <= int(text) < 2**63 else text
    if _NUMBER.fullmatch(text):
        return number if math.isfinite(number := float(text)) else text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.startswith("[") and text.endswith("]"):
        return _parse_list(text)
    return text


def _parse_list(text: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if all(isinstance(each, str) for each in value) else text
