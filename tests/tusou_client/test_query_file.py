"""Query files in the forms that occur in practice."""

import pytest
from tusou_client.errors import BadQueries
from tusou_client.query_file import read_queries


def rendered(data: bytes, item_ids: tuple[int | str, ...] = (7, 8)) -> list[str]:
    return [row.format(item_ids).decode() for row in read_queries(data)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            '{"query_id": 1, "query_text": "裙"}',
            '{"query_id": 1, "query_text": "裙", "item_ids": [7, 8]}',
            id="appended",
        ),
        pytest.param(
            '{"item_ids":[],"query_id":1,"query_text":"裙","z":null}',
            '{"item_ids": [7, 8], "query_id": 1, "query_text": "裙", "z": null}',
            id="in-its-place",
        ),
        pytest.param(
            '{"text_id": 1, "text": "裙", "image_ids": []}',
            '{"text_id": 1, "text": "裙", "image_ids": [7, 8]}',
            id="cn_clip-names",
        ),
        pytest.param(
            '{"query_id": "Word-1", "query_text": "\\u88d9 \\"x\\""}',
            '{"query_id": "Word-1", "query_text": "裙 \\"x\\"", "item_ids": [7, 8]}',
            id="escapes-become-text",
        ),
        pytest.param(
            '{"query_id": 1, "query_text": "", "w": [1.10, 2e400, -0, 12345678901234567890123],'
            ' "m": {"b": true, "a": 1E5}}',
            '{"query_id": 1, "query_text": "", "w": [1.10, 2e400, -0, 12345678901234567890123],'
            ' "m": {"b": true, "a": 1E5}, "item_ids": [7, 8]}',
            id="numbers-as-written",
        ),
    ],
)
def test_a_row_keeps_everything_else(line: str, expected: str) -> None:
    assert rendered(line.encode()) == [expected]


def test_string_item_ids() -> None:
    [line] = rendered(b'{"query_id": 1, "query_text": "x"}', ("图1.jpg", "b"))
    assert line == '{"query_id": 1, "query_text": "x", "item_ids": ["图1.jpg", "b"]}'


TWO = '{"query_id": 1, "query_text": "裙"}\n{"query_id": 2, "query_text": "鞋"}\n'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TWO.encode(), id="plain"),
        pytest.param(TWO.encode("utf-8-sig"), id="bom"),
        pytest.param(TWO.replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(TWO.removesuffix("\n").encode(), id="no-last-newline"),
    ],
)
def test_line_ends_and_bom_do_not_matter(data: bytes) -> None:
    assert [(row.line, row.text) for row in read_queries(data)] == [(1, "裙"), (2, "鞋")]


def test_other_line_separators_are_text() -> None:
    [row] = read_queries('{"query_id": 1, "query_text": "a\u2028b\x85c"}'.encode())
    assert row.text == "a\u2028b\x85c"


def test_every_unusable_line_is_named() -> None:
    lines = [
        b'{"query_id": 1, "query_text": "ok"}',
        b"",
        b"{",
        b"[1]",
        b'{"query_id": 1.5, "query_text": "x"}',
        b'{"query_id": true, "query_text": "x"}',
        b'{"query_id": 2}',
        b'{"query_id": 3, "query_text": 5}',
        b'{"query_id": 1, "query_text": "again"}',
        b'{"query_id": 4, "query_text": "\xff"}',
        b'{"query_id": 5, "query_text": "\\ud800"}',
        b'{"query_id": 6, "query_text": "x", "w": NaN}',
        b'{"query_id": 7, "query_id": 8, "query_text": "x"}',
        b'{"query_id": 9, "query_text": "x", "w": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"   ",
    ]
    with pytest.raises(BadQueries) as raised:
        read_queries(b"\n".join(lines))
    first, *problems = str(raised.value).split("\n  ")
    assert first == "14 lines cannot be used; nothing was sent."
    assert problems[:12] == [
        "line 2: blank line",
        "line 3: not a JSON object (Expecting property name enclosed in double quotes, column 2)",
        "line 4: not a JSON object",
        "line 5: `query_id` is missing or not an integer or a string",
        "line 6: `query_id` is missing or not an integer or a string",
        "line 7: `query_text` is missing or not a string",
        "line 8: `query_text` is missing or not a string",
        "line 9: the id of line 1 again",
        "line 10: not UTF-8 at byte 31; save the file as UTF-8",
        "line 11: holds half of a surrogate pair, which is not Unicode text",
        "line 12: not a JSON object (NaN is not a JSON number)",
        "line 13: not a JSON object (a field appears twice)",
    ]
    assert problems[12].startswith("line 14: ")
    assert problems[13] == "line 15: blank line"


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(data: bytes) -> None:
    with pytest.raises(BadQueries, match="empty"):
        read_queries(data)
