"""Columns of an attribute table: the values of one attribute by row key, and tests of all of them.

A test gives one boolean per item, False where the item has no value.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from typing import Literal, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tusou.attributes.filters import FilterValue, Operator
from tusou.attributes.schema import AttributeValue

Mask: TypeAlias = npt.NDArray[np.bool_]  # (n,), by row key
Numbers: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64] | npt.NDArray[np.int32]
Codes: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.int8]
ValueCount: TypeAlias = tuple[AttributeValue, int]

# Up to this many comparisons with all values take less time than one look-up of them all.
_FEW = 8
_NARROW = 2**20  # of a range of integers, to count them without sorting

EPOCH = date(1970, 1, 1).toordinal()


class Column(Protocol):
    """The values of one attribute."""

    def __len__(self) -> int: ...

    def value(self, key: int) -> AttributeValue | None:
        """Return an item's value, None if it has none."""
        ...

    def present(self) -> Mask:
        """Return which items have a value."""
        ...

    def equal_any(self, values: Sequence[FilterValue]) -> Mask:
        """Return which items have one of the values; in a list, one of its strings."""
        ...

    def codes(self) -> npt.NDArray[np.int64]:
        """Return equal codes from 0 for equal values, and -1 for items without one."""
        ...

    def counts(self, mask: Mask | None, limit: int) -> list[ValueCount]:
        """Return the values that most items of the mask have, most first, then by value."""
        ...

    def take(self, keys: npt.NDArray[np.int64]) -> "Column":
        """Return the column of other items, given by their row keys here; -1 has no value."""
        ...


class NumberColumn:
    """Integers, numbers, or dates as days since 1970-01-01; exact for operands of any size."""

    def __init__(self, kind: Literal["integer", "number", "date"], values: Numbers, present: Mask):
        self.kind, self.values = kind, values
        self._present = None if present.all() else present

    def __len__(self) -> int:
        return len(self.values)

    def value(self, key: int) -> AttributeValue | None:
        if self._present is not None and not self._present[key]:
            return None
        return self._shown(self.values[key].item())

    def present(self) -> Mask:
        return np.ones(len(self), np.bool_) if self._present is None else self._present

    def equal_any(self, values: Sequence[FilterValue]) -> Mask:
        operands = [number for value in values if (number := self._exact(value)) is not None]
        if len(operands) <= _FEW:
            return self._where_present(_equal_any(self.values, operands))
        stored = pa.array(self.values)
        in_list = pc.is_in(stored, value_set=pa.array(operands, stored.type))
        return self._where_present(in_list.to_numpy(zero_copy_only=False))

    def compare(self, operator: Operator, value: FilterValue) -> Mask:
        """Return which items have a value in this order to another one."""
        number = self._number(value)
        # x < v and x >= v are told by the largest possible value below v, the others by v or below.
        bound = self._below(number) if operator in ("$lt", "$gte") else self._at_most(number)
        passes = self.values <= bound if operator in ("$lt", "$lte") else self.values > bound
        return self._where_present(passes)

    def codes(self) -> npt.NDArray[np.int64]:
        present = self.present()
        codes = np.full(len(self), -1, np.int64)
        codes[present] = np.unique(self.values[present], return_inverse=True)[1]
        return codes

    def counts(self, mask: Mask | None, limit: int) -> list[ValueCount]:
        present = self.present()
        values, counts = self._count(self.values[present if mask is None else present & mask])
        return [(self._shown(values[at].item()), int(counts[at])) for at in _top(counts, limit)]

    def _count(self, chosen: Numbers) -> tuple[Numbers, npt.NDArray[np.int64]]:
        """Return values in ascending order, and how often each is among those chosen."""
        if self.kind != "number" and len(chosen):
            least, most = int(chosen.min()), int(chosen.max())
            if most - least < _NARROW:
                counts = np.bincount(chosen - least)
                return np.arange(least, most + 1, dtype=np.int64), counts
        values, counts = np.unique(chosen, return_counts=True)
        return cast("Numbers", values), counts.astype(np.int64)

    def take(self, keys: npt.NDArray[np.int64]) -> "NumberColumn":
        present = self.present()[keys] & (keys >= 0)
        return NumberColumn(self.kind, np.where(present, self.values[keys], 0), present)

    def _where_present(self, passes: Mask) -> Mask:
        return passes if self._present is None else passes & self._present

    def _shown(self, number: int | float) -> AttributeValue:
        if self.kind == "date":
            return date.fromordinal(int(number) + EPOCH).isoformat()
        return number

    def _number(self, value: FilterValue) -> int | float:
        if self.kind == "date":
            return date.fromisoformat(cast("str", value)).toordinal() - EPOCH
        return cast("int | float", value)

    def _exact(self, value: FilterValue) -> int | float | None:
        """Return the column's number that equals a value, if one does."""
        number = self._number(value)
        nearest = self._at_most(number)
        fits = self.kind == "number" or -(2**63) <= nearest < 2**63
        return nearest if fits and nearest == number else None

    def _at_most(self, number: int | float) -> int | float:
        """Return the largest number up to another one that the column's type can hold."""
        if self.kind != "number":
            return math.floor(number)  # NumPy compares integers of any size exactly
        nearest = float(number)
        return nearest if nearest <= number else math.nextafter(nearest, -math.inf)

    def _below(self, number: int | float) -> int | float:
        """Return the largest number below another one that the column's type can hold."""
        if self.kind != "number":
            return math.ceil(number) - 1
        nearest = float(number)
        return nearest if nearest < number else math.nextafter(nearest, -math.inf)


class CodedColumn:
    """Texts or booleans: codes into their different values, in ascending order."""

    def __init__(self, codes: Codes, values: "Texts | Booleans") -> None:
        self.stored, self.values = codes, values  # -1 for an item without a value

    def __len__(self) -> int:
        return len(self.stored)

    def value(self, key: int) -> AttributeValue | None:
        code = int(self.stored[key])
        return None if code < 0 else self.values.at(code)

    def present(self) -> Mask:
        return self.stored >= 0

    def equal_any(self, values: Sequence[FilterValue]) -> Mask:
        return _are_among(self.stored, self.values, values)

    def codes(self) -> npt.NDArray[np.int64]:
        return self.stored.astype(np.int64)

    def counts(self, mask: Mask | None, limit: int) -> list[ValueCount]:
        return _count_codes(self.stored if mask is None else self.stored[mask], self.values, limit)

    def take(self, keys: npt.NDArray[np.int64]) -> "CodedColumn":
        codes = self.stored[keys]  # a copy
        codes[keys < 0] = -1
        return CodedColumn(codes, self.values)


class ListColumn:
    """Lists of strings: the strings of all lists one after another, as codes, and their offsets."""

    def __init__(
        self, offsets: npt.NDArray[np.int64], codes: Codes, values: "Texts", present: Mask
    ) -> None:
        self.offsets, self.stored, self.values = offsets, codes, values
        self._present = present
        # The row key of every string's item.
        self._items = np.repeat(np.arange(len(present), dtype=np.int32), np.diff(offsets))

    def __len__(self) -> int:
        return len(self._present)

    def value(self, key: int) -> AttributeValue | None:
        if not self._present[key]:
            return None
        return [self.values.at(code) for code in self._codes_of(key)]

    def present(self) -> Mask:
        return self._present

    def equal_any(self, values: Sequence[FilterValue]) -> Mask:
        passes = np.zeros(len(self), np.bool_)
        passes[self._items[_are_among(self.stored, self.values, values)]] = True
        return passes

    def codes(self) -> npt.NDArray[np.int64]:
        lists: dict[bytes, int] = {}
        stored, offsets = self.stored.tobytes(), self.offsets * self.stored.itemsize
        starts = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        codes = [lists.setdefault(stored[start:end], len(lists)) for start, end in starts]
        return np.where(self._present, np.array(codes, np.int64), -1)

    def counts(self, mask: Mask | None, limit: int) -> list[ValueCount]:
        chosen = self.stored if mask is None else self.stored[mask[self._items]]
        return _count_codes(chosen, self.values, limit)

    def take(self, keys: npt.NDArray[np.int64]) -> "ListColumn":
        present = self._present[keys] & (keys >= 0)
        lengths = np.where(present, np.diff(self.offsets)[keys], 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        codes = self.stored[np.repeat(self.offsets[:-1][keys], lengths) + within]
        return ListColumn(offsets, codes, self.values, present)

    def _codes_of(self, key: int) -> list[int]:
        codes: list[int] = self.stored[self.offsets[key] : self.offsets[key + 1]].tolist()
        return codes


class Texts:
    """Different texts in ascending order of their code points, which is that of their UTF-8."""

    def __init__(self, array: pa.LargeStringArray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def at(self, code: int) -> str:
        text: str = self.array[code].as_py()
        return text

    def find(self, value: FilterValue) -> int | None:
        """Return the code of a text, None if no item has it."""
        code = bisect_left(range(len(self)), cast("str", value), key=self.at)
        return code if code < len(self) and self.at(code) == value else None


class Booleans:
    """False and true."""

    def __len__(self) -> int:
        return 2

    def at(self, code: int) -> bool:
        return bool(code)

    def find(self, value: FilterValue) -> int | None:
        return int(value)


def _are_among(codes: Codes, known: Texts | Booleans, values: Sequence[FilterValue]) -> Mask:
    operands = [code for value in values if (code := known.find(value)) is not None]
    if len(operands) <= _FEW:
        return _equal_any(codes, operands)
    table = np.zeros(len(known) + 1, np.bool_)  # the last is at -1, for items without a value
    table[operands] = True
    return table[codes]


def _equal_any(stored: Numbers | Codes, operands: Sequence[int | float]) -> Mask:
    passes = np.zeros(len(stored), np.bool_)
    for operand in operands:
        passes |= stored == operand
    return passes


def _count_codes(codes: Codes, values: Texts | Booleans, limit: int) -> list[ValueCount]:
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return [(values.at(int(at)), int(counts[at])) for at in _top(counts, limit)]


def _top(counts: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Return the positions of the largest counts, largest first, then by position."""
    positions = np.flatnonzero(counts)
    if len(positions) > limit:
        least = np.partition(counts[positions], len(positions) - limit)[len(positions) - limit]
        positions = positions[counts[positions] >= least]
    order = np.argsort(-counts[positions], kind="stable")
    return positions[order[:limit]]
