"""Columns as Arrow arrays, and the file that holds them: Arrow IPC with one record batch."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tusou.attributes.columns import (
    EPOCH,
    Booleans,
    CodedColumn,
    Column,
    ListColumn,
    NumberColumn,
    Texts,
)
from tusou.attributes.schema import AttributeSchema, AttributeType
from tusou.core.files import create_file

_TEXT = pa.dictionary(pa.int32(), pa.large_string())
_ARROW_TYPES: dict[AttributeType, pa.DataType] = {
    "string": _TEXT,
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "strings": pa.large_list(_TEXT),
}
_DAYS = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH


def write_columns(path: Path, columns: Mapping[str, Column]) -> None:
    """Write columns of equal length; equal ones give equal bytes."""
    arrays = {name: _to_arrow(column) for name, column in columns.items()}
    fields = [pa.field(name, array.type) for name, array in arrays.items()]
    batch = pa.record_batch(list(arrays.values()), schema=pa.schema(fields))
    with create_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def read_columns(path: Path) -> tuple[AttributeSchema, dict[str, Column]]:
    """Read the file into memory; ValueError for any that `write_columns` did not write."""
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            if reader.num_record_batches != 1:
                raise ValueError("not one record batch")
            batch = reader.get_batch(0)
        batch.validate(full=True)
        schema = {field.name: _type_of(field) for field in batch.schema}
        if len(schema) != batch.num_columns or not schema:
            raise ValueError("no columns, or two of one name")
        columns = zip(schema.items(), batch.columns, strict=True)
        return schema, {name: from_arrow(kind, array) for (name, kind), array in columns}
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def _type_of(field: pa.Field) -> AttributeType:
    for kind, arrow_type in _ARROW_TYPES.items():
        if field.type == arrow_type:
            return kind
    raise ValueError(f"a column of type {field.type}")


def from_arrow(kind: AttributeType, array: pa.Array) -> Column:
    """Return the column of an array of the kind's type; ValueError for values it cannot have."""
    present = array.is_valid().to_numpy(zero_copy_only=False)
    if kind == "string":
        return CodedColumn(_codes(array.indices), _texts(array.dictionary))
    if kind == "boolean":
        return CodedColumn(_codes(array.cast(pa.int8())), Booleans())
    if kind == "strings":
        return _list_column(array, present)
    if kind == "date":
        array = array.view(pa.int32())
    values = (array.fill_null(0) if array.null_count else array).to_numpy()
    if kind == "number" and not np.isfinite(values).all():
        raise ValueError("a number that is not finite")
    if kind == "date" and len(values) and not _DAYS[0] <= values.min() <= values.max() <= _DAYS[1]:
        raise ValueError("a date outside the years 1 to 9999")
    return NumberColumn(kind, values, present)


def encode_texts(texts: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return texts as codes into the different ones, in ascending order."""
    encoded = texts.dictionary_encode()
    if not encoded.num_chunks:
        return pa.array([], _TEXT)
    encoded = encoded.combine_chunks()
    order = pc.array_sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), np.int32)
    ranks[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    codes = pc.take(pa.array(ranks), encoded.indices)
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary.take(order))


def _list_column(array: pa.LargeListArray, present: Any) -> ListColumn:
    offsets = array.offsets.to_numpy()
    strings = array.values
    lengths = np.diff(offsets)
    if strings.null_count or lengths[~present].any():
        raise ValueError("a list with a missing string, or strings of a missing list")
    codes = _codes(strings.indices)[offsets[0] : offsets[-1]]
    return ListColumn(offsets - offsets[0], codes, _texts(strings.dictionary), present)


def _texts(dictionary: pa.LargeStringArray) -> Texts:
    ascending = pc.all(pc.less(dictionary[:-1], dictionary[1:]), min_count=0).as_py()
    if dictionary.null_count or not ascending:
        raise ValueError("texts are not in ascending order")
    return Texts(dictionary)


def _codes(indices: pa.Array) -> Any:
    return (indices.fill_null(-1) if indices.null_count else indices).to_numpy()


def _to_arrow(column: Column) -> pa.Array:
    missing = ~column.present()
    mask = missing if missing.any() else None
    if isinstance(column, NumberColumn):
        array = pa.array(column.values, mask=mask)
        return array.view(pa.date32()) if column.kind == "date" else array
    if isinstance(column, CodedColumn):
        codes = np.maximum(column.stored, 0)
        if isinstance(column.values, Booleans):
            return pa.array(codes.astype(np.bool_), mask=mask)
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), column.values.array)
    lists = cast("ListColumn", column)
    strings = pa.DictionaryArray.from_arrays(pa.array(lists.stored), lists.values.array)
    validity = None if mask is None else pa.array(mask)
    return pa.LargeListArray.from_arrays(pa.array(lists.offsets), strings, mask=validity)
