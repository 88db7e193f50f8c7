"""What contests take: Teddy Cup's tables of ranks, and MUGE's rows in a zip; plain Python."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tusou.core.ids import ItemId
from tusou.data.jsonl import BOM

Direction: TypeAlias = Literal["text_to_image", "image_to_text"]

MUGE_ITEMS, TEDDY_ITEMS = 10, 5
# result1.csv and result2.csv, as participants' code has them.
TEDDY_COLUMNS: dict[Direction, tuple[str, str, str]] = {
    "text_to_image": ("text_id", "similarity_ranking", "result_image_id"),
    "image_to_text": ("image_id", "similarity_ranking", "result_text_id"),
}

_ZIP = b"PK\x03\x04"
# A zip whose one file unpacks to more than this is no submission.
_MAX_UNPACKED = 2**28


@dataclass(slots=True)
class TeddyTable:
    """A Teddy table as it was read: the ranked items of each query, and what is wrong."""

    direction: Direction
    lines: dict[ItemId, int] = field(default_factory=dict)  # query -> its first line
    rankings: dict[ItemId, list[ItemId]] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)


def teddy_table(rows: Iterable[tuple[ItemId, Sequence[ItemId]]], direction: Direction) -> bytes:
    """Write one row for each rank of each query, in UTF-8, under the columns of the direction."""
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    table.writerow(TEDDY_COLUMNS[direction])
    for query_id, items in rows:
        table.writerows((query_id, rank, item) for rank, item in enumerate(items, start=1))
    return held.getvalue().encode()


def is_teddy_table(data: bytes) -> bool:
    """Tell a Teddy table by its first column and the number of them."""
    first = data.removeprefix(BOM).partition(b"\n")[0].strip().split(b",")
    return len(first) == 3 and first[0] in {b"text_id", b"image_id"}


def read_teddy(data: bytes) -> TeddyTable:
    """Read a table; ValueError when its text or its columns are not a submission's."""
    try:
        text = data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = tuple(next(reader))
    directions = [one for one, columns in TEDDY_COLUMNS.items() if columns == header]
    if not directions:
        expected = " or ".join(",".join(columns) for columns in TEDDY_COLUMNS.values())
        raise ValueError(f"the columns must be {expected}")
    table = TeddyTable(directions[0])
    last = ""
    for line, cells in _cells(reader, table):
        if len(cells) != len(header):
            table.problems.append((line, f"{len(cells)} columns instead of {len(header)}"))
            continue
        query, rank, item = cells
        last = _add(table, line, query, rank, item, last)
    for asked, items in table.rankings.items():
        if len(items) != TEDDY_ITEMS:
            said = f"query {asked}: {len(items)} rows instead of {TEDDY_ITEMS}"
            table.problems.append((table.lines[asked], said))
    table.problems.sort()
    return table


def _cells(reader: Iterator[list[str]], table: TeddyTable) -> Iterator[tuple[int, list[str]]]:
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            table.problems.append((line + 1, f"not CSV ({error})"))
            return
        line += 1
        yield line, cells


def _add(table: TeddyTable, line: int, query: str, rank: str, item: str, last: str) -> str:
    """Take one row; a query's rows follow each other, ranked from 1."""
    if query != last and query in table.lines:
        first = table.lines[query]
        table.problems.append((line, f"query {query} again, first on line {first}"))
        return last
    table.lines.setdefault(query, line)
    ranking = table.rankings.setdefault(query, [])
    if rank != str(len(ranking) + 1):
        said = f"query {query}: rank {rank} where {len(ranking) + 1} should stand"
        table.problems.append((line, said))
    if item in ranking:
        table.problems.append((line, f"query {query}: repeats {item}"))
    ranking.append(item)
    return query


def is_zip(data: bytes) -> bool:
    """Tell a zip by its first bytes."""
    return data.startswith(_ZIP)


def zipped(name: str, data: bytes) -> bytes:
    """Put one file into a zip; the same bytes give the same zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)  # dated 1980: no clock
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, data)
    return held.getvalue()


def unzipped(data: bytes) -> bytes:
    """Give the one file of a zip; ValueError when it holds another number, or is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(files) != 1:
                raise ValueError(f"the zip must hold one file, and holds {len(files)}")
            if files[0].file_size > _MAX_UNPACKED:
                raise ValueError(f"the file in the zip is larger than {_MAX_UNPACKED} bytes")
            return archive.read(files[0])
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        raise ValueError("the zip cannot be read") from None
