"""Contest submissions: MUGE's rows in a zip and Teddy Cup's ranking tables, in plain Python."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tusou.core.file_kinds import ZIP
from tusou.core.files import DAMAGED_FILE_ERRORS
from tusou.core.ids import ItemId
from tusou.core.json_objects import parse_object
from tusou.data.jsonl import BOM, LineProblem

Direction: TypeAlias = Literal["text_to_image", "image_to_text"]


@dataclass(frozen=True, slots=True)
class Contest:
    """A contest, and how many items it takes for each query."""

    name: str
    items: int


MUGE, TEDDY_CUP = Contest("MUGE", 10), Contest("Teddy Cup", 5)
# By the suffix of the file to submit.
CONTESTS = {".zip": MUGE, ".csv": TEDDY_CUP}

# The columns of result1.csv and result2.csv, as in participants' code.
_TEDDY_COLUMNS: dict[Direction, tuple[str, str, str]] = {
    "text_to_image": ("text_id", "similarity_ranking", "result_image_id"),
    "image_to_text": ("image_id", "similarity_ranking", "result_text_id"),
}
_MUGE_FIELDS = ("query_id", "query_text", "item_ids")

# The contest does not say how the file in the zip must be called.
_FILE_IN_ZIP = "test_pred.jsonl"
# A zip whose one file unpacks to more bytes than this is not a submission.
_MAX_UNPACKED = 2**28


def find_contest(data: bytes) -> Contest:
    """Return the contest whose format a file's content is nearest to."""
    return TEDDY_CUP if is_teddy_table(data) else MUGE


def format_muge_row(query_id: ItemId, text: str | None, item_ids: Sequence[ItemId]) -> bytes:
    """Return one row of a MUGE submission, without its line end."""
    row = dict(zip(_MUGE_FIELDS, (query_id, text, item_ids), strict=True))
    return json.dumps(row, ensure_ascii=False).encode()


def check_muge_row(line: bytes, text: str | None) -> Iterator[str]:
    """Yield what MUGE would refuse in a row: a missing field, or another text than the query's."""
    row = parse_object(line)
    missing = [name for name in _MUGE_FIELDS if name not in row]
    if missing:
        yield f"the field {missing[0]} is missing"
    elif row["query_text"] != text:
        yield "query_text differs from the query's text"


def zip_rows(lines: Iterable[bytes]) -> bytes:
    """Return a zip of one file with these lines; the same lines give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(_FILE_IN_ZIP)  # dated 1980, not now
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, b"".join(line + b"\n" for line in lines))
    return buffer.getvalue()


def unzip(data: bytes) -> bytes:
    """Return the one file in a zip, and other data as it is.

    Raises ValueError for a damaged zip, or one that does not hold exactly one file.
    """
    if not data.startswith(ZIP):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(files) == 1 and files[0].file_size <= _MAX_UNPACKED:
                return archive.read(files[0])
    except DAMAGED_FILE_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"the zip cannot be read ({reason[:200]}); pack it again") from None
    if len(files) != 1:
        raise ValueError(f"the zip must hold one file, but holds {len(files)}")
    raise ValueError(f"the file in the zip is larger than {_MAX_UNPACKED} bytes")


@dataclass(slots=True)
class TeddyTable:
    """A ranking table as read: the ranked items of each query, and every problem by line."""

    direction: Direction
    lines: dict[ItemId, int] = field(default_factory=dict)  # query -> its first line
    rankings: dict[ItemId, list[ItemId]] = field(default_factory=dict)
    problems: list[LineProblem] = field(default_factory=list)


def format_teddy_table(
    rankings: Iterable[tuple[ItemId, Sequence[ItemId]]], direction: Direction
) -> bytes:
    """Return a table with one row per query and rank, under the columns of the direction."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(_TEDDY_COLUMNS[direction])
    for query_id, items in rankings:
        table.writerows((query_id, rank, item) for rank, item in enumerate(items, start=1))
    return buffer.getvalue().encode()


def is_teddy_table(data: bytes) -> bool:
    """Return whether the first line has three columns, the first of them a query's id."""
    header = data.removeprefix(BOM).partition(b"\n")[0].strip().split(b",")
    return len(header) == 3 and header[0] in {b"text_id", b"image_id"}


def read_teddy_table(data: bytes) -> TeddyTable:
    """Read a ranking table; ValueError when it is not UTF-8 or has other columns."""
    try:
        text = data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(next(records, ()))
    except csv.Error as error:
        raise ValueError(f"not CSV ({error})") from None
    directions = [key for key, columns in _TEDDY_COLUMNS.items() if columns == header]
    if not directions:
        expected = " or ".join(",".join(columns) for columns in _TEDDY_COLUMNS.values())
        raise ValueError(f"the columns must be {expected}")
    table = TeddyTable(directions[0])
    previous_query = ""
    line = 1
    try:
        for line, cells in enumerate(records, start=2):
            if len(cells) == len(header):
                previous_query = _add_row(table, line, cells, previous_query)
            else:
                table.problems.append((line, f"{len(cells)} columns instead of {len(header)}"))
    except csv.Error as error:
        table.problems.append((line + 1, f"not CSV ({error})"))
    for query_id, items in table.rankings.items():
        if len(items) != TEDDY_CUP.items:
            message = f"query {query_id}: {len(items)} rows instead of {TEDDY_CUP.items}"
            table.problems.append((table.lines[query_id], message))
    table.problems.sort()
    return table


def _add_row(table: TeddyTable, line: int, cells: list[str], previous_query: str) -> str:
    """Add a row and return its query; the rows of a query are consecutive and ranked from 1."""
    query_id, rank, item = cells
    if query_id != previous_query and query_id in table.lines:
        first = table.lines[query_id]
        table.problems.append((line, f"query {query_id} again, first on line {first}"))
        return previous_query
    table.lines.setdefault(query_id, line)
    ranking = table.rankings.setdefault(query_id, [])
    if rank != str(len(ranking) + 1):
        message = f"query {query_id}: rank {rank} instead of {len(ranking) + 1}"
        table.problems.append((line, message))
    if item in ranking:
        table.problems.append((line, f"query {query_id}: repeats {item}"))
    ranking.append(item)
    return query_id
