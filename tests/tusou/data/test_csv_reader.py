"""Tables are read record by record, and a damaged record costs itself, not what follows."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusou.core.errors import BadDataset
from tusou.data.csv_reader import TableRow, detect_encoding, read_table

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


def read(tmp_path: Path, content: bytes | str, columns: tuple[str, ...] = ("id", "caption")):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        (row.line, *row.cells.values()) if isinstance(row, TableRow) else (row.line, row.reason)
        for row in read_table(path, columns)
    ]


@given(rows=st.lists(st.tuples(CELL, CELL), max_size=6))
def test_tables_written_by_csv_are_read_back(rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("id", "caption"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        rows_read = read(Path(folder), buffer.getvalue())
    assert [tuple(row[1:]) for row in rows_read] == rows


def test_an_unclosed_quote_costs_one_line(tmp_path: Path) -> None:
    content = 'id,caption\n1,"开了\n' + "".join(f"{n},裙\n" for n in range(2, 400))
    rows_read = read(tmp_path, content)
    assert rows_read[0] == (2, "a quote opens a cell that does not close")
    assert rows_read[1:] == [(n + 1, str(n), "裙") for n in range(2, 400)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(b"1,a,b", (2, "1", "a,b"), id="comma-in-caption"),
        pytest.param(b'1,"a"b', (2, "1", "ab"), id="text-after-quote"),
        pytest.param(b'1,5" x', (2, "1", '5" x'), id="stray-quote"),
        pytest.param(b"1", (2, "1 cells where the header names 2"), id="missing"),
        pytest.param(b"1," + b"x" * 70_000, (2, "line longer than 65536 bytes"), id="long"),
        pytest.param(b"1,\xff\xfe", (2, "not UTF-8 at byte 2"), id="bytes"),
    ],
)
def test_odd_records(tmp_path: Path, row: bytes, expected: tuple[object, ...]) -> None:
    rest = "9,裙\n8,裙\n".encode()
    rows_read = read(tmp_path, b"\xef\xbb\xbfID, Caption\r\n" + row + b"\n\n" + rest)
    assert rows_read == [expected, (4, "9", "裙"), (5, "8", "裙")]


def test_the_encoding_fits_most_lines(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes("裙子很长\n裤子\n".encode() + "鞋".encode("gbk") + b"\n")
    assert detect_encoding(path) == "utf-8"
    path.write_bytes("裙子很长\n裤子\n".encode("gb18030") + "鞋".encode() + b"\n")
    assert detect_encoding(path) == "gb18030"


def test_a_header_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"csv:1: no column caption; .* it holds id,text"):
        read(tmp_path, "id,text\n1,x\n")
    with pytest.raises(BadDataset, match="empty; its first line must name"):
        read(tmp_path, "\n")
