"""Every line of a pool of any bytes has a span or a failure; spans hold the line's content."""

import tempfile
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from tusou.core.file_kinds import describe_foreign_file
from tusou.core.ids import Failure
from tusou.data.base import ItemRow
from tusou.data.formats.image_lines import open_image_file

FIELD = st.one_of(st.binary(max_size=12), st.sampled_from([b"1", b"\xef\xbb\xbf2", b"QUJD", b"\r"]))
LINE = st.lists(FIELD, max_size=4).map(b"\t".join)


def slow_oracle(content: bytes) -> list[tuple[int, bytes, bytes] | int]:
    """Say for every line: (number, id, base64), or the number of a line that cannot be used."""
    rows: list[tuple[int, bytes, bytes] | int] = []
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    blank = [
        not line.removeprefix(b"\xef\xbb\xbf" * (not n)).strip() for n, line in enumerate(lines)
    ]
    while lines and blank[len(lines) - 1]:  # blank lines at the end are no rows
        lines.pop()
    for number, raw in enumerate(lines, start=1):
        line = raw.removesuffix(b"\r")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        fields = line.split(b"\t")
        try:
            text = fields[0].decode()
        except UnicodeDecodeError:
            text = ""
        plain = text == text.strip() and not any(
            ord(char) < 32 or 127 <= ord(char) < 160 for char in text
        )
        usable = len(fields) == 2 and bool(text) and plain and bool(fields[1])
        rows.append((number, fields[0], fields[1]) if usable else number)
    return rows


@given(st.lists(LINE, max_size=8).map(b"\n".join), st.sampled_from([b"", b"\n"]))
def test_every_line_is_an_item_or_a_failure(body: bytes, end: bytes) -> None:
    content = body + end
    assume(content.strip())  # an empty file is refused, and one in UTF-16
    assume(not content.lstrip().startswith((b"\xfe\xff", b"\xff\xfe")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imgs.tsv"
        path.write_bytes(content)
        assume(describe_foreign_file(path) is None)
        scanned = list(open_image_file(path).scan())
    expected = slow_oracle(content)
    assert len(scanned) == len(expected)
    for row, expected_row in zip(scanned, expected, strict=True):
        if isinstance(row, Failure):
            assert row.line == expected_row
        else:
            assert isinstance(row, ItemRow)
            piece = content[row.offset : row.offset + row.length]
            assert (row.line, row.item_id.encode(), piece) == expected_row
