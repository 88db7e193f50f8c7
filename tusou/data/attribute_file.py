"""Attributes of items in JSON lines, CSV or Parquet, with types inferred over the whole file.

The file is read once for the types and once for the values, so that it need not fit in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

from tusou.attributes.filters import shown
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeType, AttributeValue
from tusou.attributes.values import MAX_ATTRIBUTES, convert_value, name_fault
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, is_id
from tusou.core.json_objects import parse_object
from tusou.core.lazy_import import LazyImport
from tusou.core.problems import list_problems
from tusou.data.attribute_types import TypeCounts, parse_cell
from tusou.data.base import parse_item_id
from tusou.data.csv_reader import read_records, read_text_lines
from tusou.data.query_lines import query_suffix

# Names of the item's id, in order of preference; all rows of a file have it under the same one.
ID_NAMES = ("item_id", "image_id", "text_id", "id")

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_PARQUET = b"PAR1"
_PARQUET_ROWS = LazyImport("tusou.attributes.parquet_file:read_parquet_rows")


class FileRow(NamedTuple):
    """A row as it stands in the file; None stands for a missing value."""

    number: int  # of its first line, or of the row in a Parquet file, from 1
    fields: Mapping[str, object]


class AttributeRow(NamedTuple):
    """The attributes of one item."""

    item_id: str
    attributes: Attributes


Rows: TypeAlias = Iterator[FileRow | Failure]


class AttributeFile:
    """The attributes in a file, one row per item. Opening it infers the types.

    Raises BadDataset for a file of another kind, without ids or without attributes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read, self._is_table, self._unit = _format_of(path)
        self.id_name = self._find_id_name()
        counts = self._count_types()
        types = {name: self._type_of(count) for name, count in counts.items()}
        # The attributes that have values, in the order of their first appearance.
        self.schema: AttributeSchema = {name: kind for name, kind in types.items() if kind}
        # Sentences about attributes that may not have the type that the user expects.
        self.notices = [
            f"{shown(name)} is read as text: {phrase}"
            for name, count in counts.items()
            if self.schema.get(name) == "string" and (phrase := count.exceptions(self._unit))
        ]

    def rows(self) -> Iterator[AttributeRow]:
        """Yield the attributes of each row; BadDataset at the end lists all faults in the file."""
        problems: list[str] = []
        first_rows: dict[str, int] = {}
        for row in self._read(self.path):
            if isinstance(row, Failure):
                problems.append(f"{self._unit} {row.line}: {row.reason}")
                continue
            faults: list[str] = []
            item_id = self._item_id(row, first_rows, faults)
            attributes = self._convert(row, faults)
            problems += [f"{self._unit} {row.number}: {fault}" for fault in faults]
            if item_id is not None:
                yield AttributeRow(item_id, attributes)
        if problems:
            raise BadDataset(f"{self.path}: {len(problems)} faults{list_problems(problems)}")
        if not first_rows or not self.schema:
            raise BadDataset(f"{self.path}: no attributes in the file")

    def _find_id_name(self) -> str | None:
        """Return the field of the ids; None if no row can be read."""
        row = next((row for row in self._read(self.path) if isinstance(row, FileRow)), None)
        if row is None:
            return None
        for known in ID_NAMES:
            for name in row.fields:
                if name.lower() == known:
                    return name
        names = ", ".join(list(row.fields)[:20])[:200]
        raise BadDataset(
            f"{self.path}: no field {', '.join(ID_NAMES[:-1])} or {ID_NAMES[-1]} in "
            f"{self._unit} {row.number}, which has {names or 'none'}; name the field of the ids so"
        )

    def _count_types(self) -> dict[str, TypeCounts]:
        counts: dict[str, TypeCounts] = {}
        for row in self._read(self.path):
            if isinstance(row, Failure):
                continue
            for name, value in row.fields.items():
                if value is None or name == self.id_name:
                    continue
                if name not in counts:
                    if name_fault(name):
                        continue
                    self._check_count(len(counts), row.number)
                    counts[name] = TypeCounts()
                parsed = parse_cell(cast("str", value)) if self._is_table else value
                counts[name].add(parsed, row.number)
        return counts

    def _check_count(self, attributes: int, number: int) -> None:
        if attributes == MAX_ATTRIBUTES:
            raise BadDataset(
                f"{self.path}: more than {MAX_ATTRIBUTES} attributes, of which "
                f"{self._unit} {number} has the last; leave some out"
            )

    def _type_of(self, counts: TypeCounts) -> AttributeType | None:
        return counts.common if self._is_table else counts.most_frequent

    def _item_id(self, row: FileRow, first_rows: dict[str, int], faults: list[str]) -> str | None:
        """Return a row's id as text, unless there is a fault with it."""
        written = row.fields.get(self.id_name or "")
        if not is_id(written):
            faults.append(f"{self.id_name} is missing, or neither an integer nor a text")
            return None
        try:
            item_id = parse_item_id(str(written).encode())
        except ValueError as error:  # also of half a surrogate pair
            is_phrase = not isinstance(error, UnicodeError)
            faults.append(str(error) if is_phrase else "id is not UTF-8")
            return None
        first = first_rows.setdefault(item_id, row.number)
        if first != row.number:
            faults.append(f"the item of {self._unit} {first} again")
        return item_id

    def _convert(self, row: FileRow, faults: list[str]) -> Attributes:
        attributes: dict[str, AttributeValue] = {}
        for name, value in row.fields.items():
            if value is None or name == self.id_name:
                continue
            kind = self.schema.get(name)
            if kind is None:
                if fault := name_fault(name):
                    faults.append(fault)
                    continue
                kind = "string"  # whose check names the fault of the value
            is_cell = self._is_table and kind != "string"
            try:
                parsed = parse_cell(cast("str", value)) if is_cell else value
                attributes[name] = convert_value(parsed, kind)
            except ValueError as error:
                faults.append(f"{shown(name)} {error}")
        return attributes


def _format_of(path: Path) -> tuple[Callable[[Path], Rows], bool, str]:
    """Return how a file is read, whether its values are cells, and what its rows are called."""
    if not path.is_file():
        raise BadDataset(f"{path} is not a file; give one of JSON lines, CSV or Parquet")
    with path.open("rb") as file:
        if file.read(len(_PARQUET)) == _PARQUET:
            return _read_parquet, False, "row"
    first = next(read_text_lines(path), None)
    start = first[1].lstrip()[:1] if isinstance(first, tuple) else ""
    if start == "[":
        raise BadDataset(f"{path} is one JSON array; write one object a line: jq -c '.[]'")
    if start == "{" or query_suffix(path) in _JSON_SUFFIXES:
        return _read_json, False, "line"
    return _read_csv, True, "line"


def _read_json(path: Path) -> Rows:
    for line in read_text_lines(path):
        if isinstance(line, Failure):
            yield line
            continue
        number, text = line
        try:
            yield FileRow(number, parse_object(text.encode(), unique_fields=True))
        except ValueError as error:
            yield Failure(number, None, str(error))


def _read_csv(path: Path) -> Rows:
    """Yield the rows below the header; an empty cell is a missing value."""
    header: list[str] | None = None
    for record in read_records(path):
        if isinstance(record, Failure):
            yield record
        elif header is None:
            header = _header(path, record[1])
        elif len(record[1]) != len(header):
            reason = f"{len(record[1])} cells where the header names {len(header)}"
            yield Failure(record[0], None, reason)
        else:
            cells = (cell or None for cell in record[1])
            yield FileRow(record[0], dict(zip(header, cells, strict=True)))


def _header(path: Path, cells: Iterable[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    repeated = {name for name in names if names.count(name) > 1 and name}
    if repeated:
        raise BadDataset(f"{path}:1: {', '.join(sorted(repeated))[:200]} heads several columns")
    return names


def _read_parquet(path: Path) -> Rows:
    read = cast("Callable[[Path], Iterator[Mapping[str, object]]]", _PARQUET_ROWS.load())
    for number, fields in enumerate(read(path), start=1):
        yield FileRow(number, fields)
