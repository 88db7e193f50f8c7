"""A query file is read completely, or refused with every unusable line."""

import re
from pathlib import Path

import pytest

from tusou.core.errors import BadDataset
from tusou.data.base import DatasetQuery
from tusou.data.formats.muge import read_queries

ROW = '{"query_id": 1, "query_text": "圣诞 抱枕", "item_ids": [3, 5]}'


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(ROW + "\n", id="plain"),
        pytest.param(ROW, id="no-line-end"),
        pytest.param("\ufeff" + ROW + "\r\n", id="bom-and-crlf"),
        pytest.param(
            '{"text_id": 1, "text": "圣诞 抱枕", "image_ids": [3, 5]}\n', id="cn-clip-names"
        ),
        pytest.param(ROW.replace("}", ', "note": "more"}') + "\n", id="more-fields"),
    ],
)
def test_reads_every_form(tmp_path: Path, content: str) -> None:
    assert read_queries(write(tmp_path, content)) == [DatasetQuery(1, 1, "圣诞 抱枕", (3, 5))]


def test_correct_items_may_be_missing_and_ids_may_be_strings(tmp_path: Path) -> None:
    path = write(tmp_path, '{"query_id": "Word-1", "query_text": "裙"}\n')
    assert read_queries(path) == [DatasetQuery(1, "Word-1", "裙", None)]


def test_line_separators_inside_a_text_do_not_cut_it(tmp_path: Path) -> None:
    path = write(tmp_path, '{"query_id": 1, "query_text": "a\u2028b\u0085c"}\n')
    assert read_queries(path)[0].text == "a\u2028b\u0085c"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("", "blank line", id="blank"),
        pytest.param("{", "not a JSON object", id="broken"),
        pytest.param("[1]", "not a JSON object", id="list"),
        pytest.param('{"query_id": NaN, "query_text": "x"}', "not a JSON object", id="nan"),
        pytest.param("[" * 100_000, "not a JSON object", id="deep"),
        pytest.param('{"query_text": "x"}', "query_id missing", id="no-id"),
        pytest.param('{"query_id": true, "query_text": "x"}', "query_id missing", id="bool-id"),
        pytest.param('{"query_id": 1.5, "query_text": "x"}', "query_id missing", id="float-id"),
        pytest.param('{"query_id": 2}', "query_text missing", id="no-text"),
        pytest.param('{"query_id": 2, "query_text": 7}', "query_text missing", id="number-text"),
        pytest.param(
            '{"query_id": 2, "query_text": "x", "item_ids": [true]}', "item_ids is not", id="ids"
        ),
        pytest.param(ROW, "query_id already used on line 1", id="duplicate"),
    ],
)
def test_names_the_line_and_the_problem(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path, f"{ROW}\n{line}\n" + ROW.replace(": 1,", ": 9,") + "\n")
    with pytest.raises(BadDataset, match=re.escape(f"1 unusable lines\n  line 2: {problem}")):
        read_queries(path)


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path, "{\n" * 50)
    with pytest.raises(
        BadDataset,
        match=r"(?s)50 unusable lines\n .*line 20: .*\n  and 30 more; all of them are in ",
    ):
        read_queries(path)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"], ids=["empty", "bom-only"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadDataset, match=r"no queries|is empty"):
        read_queries(write(tmp_path, content))


def test_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="not UTF-8 at byte"):
        read_queries(write(tmp_path, ROW.encode("gb18030")))
