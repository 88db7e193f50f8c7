"""Files of lines are split in the same way everywhere, and bad lines keep their numbers."""

import pytest

from tusou.core.json_objects import parse_object
from tusou.data.jsonl import LineProblem, parse_lines, split_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"\xef\xbb\xbf", [], id="bom-only"),
        pytest.param(b"\n", [b""], id="one-blank-line"),
        pytest.param(b"a\nb\n", [b"a", b"b"], id="lf"),
        pytest.param(b"\xef\xbb\xbfa\r\nb\r\n", [b"a", b"b"], id="bom-and-crlf"),
        pytest.param(b"a\nb", [b"a", b"b"], id="no-last-line-end"),
        pytest.param(b"a\n\nb\n\n", [b"a", b"", b"b", b""], id="blank-lines-count"),
        pytest.param("a\u2028b\x85c\n".encode(), ["a\u2028b\x85c".encode()], id="unicode"),
    ],
)
def test_lines_end_with_lf_or_crlf(data: bytes, lines: list[bytes]) -> None:
    assert split_lines(data) == lines


def test_lines_that_cannot_be_parsed_become_problems() -> None:
    problems: list[LineProblem] = []
    lines = [b'{"a": 1}', b"", b"[]", b'{"a": 2}']
    assert list(parse_lines(lines, parse_object, problems, first=5)) == [
        (5, {"a": 1}),
        (8, {"a": 2}),
    ]
    assert problems == [(6, "blank line"), (7, "not a JSON object")]
