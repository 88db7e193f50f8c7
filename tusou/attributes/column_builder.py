"""Builds a column from the values of rows, in parts, so that few of them are Python objects."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tusou.attributes.arrow_file import encode_texts, from_arrow
from tusou.attributes.columns import Column, ListColumn, Texts
from tusou.attributes.schema import AttributeType

_PLAIN_TYPES: dict[AttributeType, pa.DataType] = {
    "string": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "strings": pa.large_string(),  # of all lists, one after another
}


class ColumnBuilder:
    """Collects the values of one attribute."""

    def __init__(self, kind: AttributeType) -> None:
        self._kind, self._type = kind, _PLAIN_TYPES[kind]
        self._chunks: list[pa.Array] = []
        self._lengths: list[npt.NDArray[np.int64]] = []  # of lists; -1 for an item without one

    def add(self, values: Sequence[Any]) -> None:
        """Add the values of the next items, of the attribute's type or None."""
        if self._kind == "strings":
            lists = [None if value is None else list(dict.fromkeys(value)) for value in values]
            lengths = [-1 if strings is None else len(strings) for strings in lists]
            self._lengths.append(np.array(lengths, np.int64))
            values = [text for strings in lists for text in strings or ()]
        elif self._kind == "date":
            values = [None if day is None else date.fromisoformat(day) for day in values]
        elif self._kind == "number":
            values = [None if number is None else number + 0.0 for number in values]  # no -0.0
        self._chunks.append(pa.array(values, self._type))

    def build(self) -> Column:
        """Return the column of all values."""
        plain = pa.chunked_array(self._chunks, self._type)
        if self._kind == "string":
            return from_arrow("string", encode_texts(plain))
        if self._kind != "strings":
            return from_arrow(
                self._kind, pa.concat_arrays([pa.array([], self._type), *self._chunks])
            )
        strings = encode_texts(plain)
        lengths = np.concatenate([np.zeros(0, np.int64), *self._lengths])
        offsets = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))])
        return ListColumn(
            offsets, strings.indices.to_numpy(), Texts(strings.dictionary), lengths >= 0
        )
