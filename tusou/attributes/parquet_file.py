"""Reads the rows of a Parquet file as JSON values."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tusou.core.errors import BadDataset

_BATCH_ROWS = 16_384


def read_parquet_rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Yield every row: strings, integers, numbers, booleans, lists of strings, and None.

    Dates and timestamps at midnight become YYYY-MM-DD, other timestamps ISO 8601. Decimals become
    integers if they have no decimal places, else numbers. Raises BadDataset for a damaged file, and
    for columns of other types.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_types(path, file.schema_arrow)
            for batch in file.iter_batches(_BATCH_ROWS):
                columns = [_values(column) for column in batch.columns]
                names = batch.schema.names
                for row in zip(*columns, strict=True):
                    yield dict(zip(names, row, strict=True))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:160]
        raise BadDataset(f"{path}: not a readable Parquet file ({reason})") from None


def _check_types(path: Path, schema: pa.Schema) -> None:
    if len(set(schema.names)) != len(schema.names):
        raise BadDataset(f"{path}: two columns have the same name")
    wrong = [f"{field.name} ({field.type})" for field in schema if not _is_known(field.type)]
    if wrong:
        raise BadDataset(
            f"{path}: attributes are strings, numbers, booleans, dates and lists of strings, and "
            f"these columns are of other types: {', '.join(wrong)[:500]}"
        )


def _is_known(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
        return _is_text(kind.value_type if types.is_dictionary(kind) else kind)
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    more = (types.is_date, types.is_timestamp, types.is_null, _is_text)
    return any(test(kind) for test in (*tests, *more))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _values(column: pa.Array) -> list[object]:
    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        column = column.cast(pa.string()).cast(pa.float64())  # 0.1 of a float32 is 0.1 again
    return [_json_value(value) for value in column.to_pylist()]


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.date().isoformat() if _is_midnight(value) else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
    return value


def _is_midnight(moment: datetime) -> bool:
    return moment.tzinfo is None and moment.time() == time()
