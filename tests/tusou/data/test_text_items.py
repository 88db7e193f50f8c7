"""A text file is a pool: every line is an item or a failure, under any of the field names."""

from pathlib import Path

import pytest

from tusou.bundle.item_reader import ItemReader, decode_stored_text
from tusou.core.ids import Failure
from tusou.data import ItemRow, open_pool
from tusou.data.formats.text_items import MAX_LINE_BYTES

ROW = '{"id": 1, "text": "红色碎花裙"}'.encode()


def scan(tmp_path: Path, content: bytes) -> list[ItemRow | Failure]:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(content)
    pool = open_pool(str(path))
    assert (pool.kind, pool.encoding) == ("texts", "json")
    rows = list(pool.scan())
    assert pool.size == len(content)
    return rows


@pytest.mark.parametrize(
    "line",
    [
        '{"text_id": 1, "text": "裙"}',
        '{"query_id": 1, "query_text": "裙", "item_ids": [3]}',
        '{"item_id": "1", "caption": "裙", "id": 5}',
        '\ufeff{"id": 1, "text": " 裙\\n"}\r',
    ],
)
def test_any_of_the_field_names_is_read(tmp_path: Path, line: str) -> None:
    [row] = scan(tmp_path, line.encode() + b"\n")
    assert isinstance(row, ItemRow)
    assert (row.line, row.item_id, row.file) == (1, "1", 0)
    with ItemReader([tmp_path / "texts.jsonl"]) as files:
        stored = files.read(row.file, row.offset, row.length)
    assert decode_stored_text(stored, "json") == "裙"


@pytest.mark.parametrize(
    ("line", "item_id", "reason"),
    [
        (b"", None, "blank line"),
        (b"{", None, "not a JSON object"),
        (b"[1]", None, "not a JSON object"),
        (b"\xff", None, "not UTF-8 at byte 0"),
        (b'{"id": 2, "text": NaN}', None, "not a JSON object"),
        (b"[" * 100_000, None, "not a JSON object"),
        (b'{"text": "x"}', None, "id missing, or neither an integer nor a string"),
        (b'{"id": true, "text": "x"}', None, "id missing, or neither an integer nor a string"),
        (b'{"id": 2}', None, "text missing or not a string"),
        (b'{"id": 2, "text": 7}', None, "text missing or not a string"),
        (b'{"id": "", "text": "x"}', None, "empty id"),
        (b'{"id": "a\\u0000", "text": "x"}', None, "id with blanks around it or control"),
        (b'{"id": "\\ud800", "text": "x"}', None, "id is not UTF-8"),
        (b'{"id": 2, "text": " \\u0007\\u200b\\ud800 "}', "2", "empty text"),
        (b'{"id": 2, "text": "' + b"x" * MAX_LINE_BYTES + b'"}', None, "line longer than 1048576"),
    ],
)
def test_a_bad_line_is_a_failure_and_its_neighbours_are_read(
    tmp_path: Path, line: bytes, item_id: str | None, reason: str
) -> None:
    first, bad, last = scan(tmp_path, ROW + b"\n" + line + b"\n" + ROW.replace(b"1", b"3"))
    assert isinstance(first, ItemRow)
    assert isinstance(bad, Failure)
    assert (bad.line, bad.item_id) == (2, item_id)
    assert bad.reason.startswith(reason)
    assert last == ItemRow(3, "3", 0, len(ROW) + len(line) + 2, len(ROW))
