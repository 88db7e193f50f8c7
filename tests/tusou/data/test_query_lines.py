"""Query files of several forms: the client and the readers of datasets agree on them."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from reading import write_file
from tusou_client.errors import BadQueries
from tusou_client.query_file import read_queries, read_source

from tusou.core.errors import BadDataset
from tusou.data import open_dataset
from tusou.data.query_lines import read_query_lines
from tusou.evaluation.judgments import read_judgments

CASES = Path(__file__).parents[2] / "cases"
THREE = [(1, "红色连衣裙"), (2, "黑色皮鞋"), (3, "白色T恤")]
ROWS = "".join(f'{{"query_id": {n}, "query_text": "{text}"}}\n' for n, text in THREE)
TABLE = "query_id,query_text\n" + "".join(f"{n},{text}\n" for n, text in THREE)


def read(path: Path) -> list[tuple[object, str]]:
    """Read a file with every reader; all must agree."""
    rows = [(int(str(row.query_id)), row.text) for row in read_queries(read_source(str(path)))]
    if path.suffix not in {".gz", ".zip"}:
        dataset = [(query.query_id, query.text) for query in open_dataset(str(path)).queries()]
        assert dataset == rows
    judged = [(query.query_id, query.text) for query in read_judgments(path).rows]
    assert judged == rows
    return list(rows)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("queries-one-json-array.json", THREE),
        ("queries-trailing-blank-line.jsonl", THREE),
        ("queries-plain-text.txt", THREE[:2]),
    ],
)
def test_cases(name: str, expected: list[tuple[int, str]]) -> None:
    assert read(CASES / name) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bom.jsonl", b"\xef\xbb\xbf" + ROWS.encode()),
        ("crlf.jsonl", ROWS.replace("\n", "\r\n").encode()),
        ("utf16.jsonl", ROWS.encode("utf-16")),
        (
            "pretty.json",
            f"[\n  {',  '.join(ROWS.splitlines()).replace(',', ',' + chr(10))} ]".encode(),
        ),
        ("plain.txt", "\n".join(text for _, text in THREE).encode("gbk")),
        ("utf16.txt", "\r\n".join(text for _, text in THREE).encode("utf-16")),
        ("gbk.csv", TABLE.encode("gbk")),
        ("bom.csv", TABLE.encode("utf-8-sig")),
        ("packed.jsonl.gz", gzip.compress(ROWS.encode(), mtime=0)),
        ("packed.txt.gz", gzip.compress("\n".join(text for _, text in THREE).encode(), mtime=0)),
    ],
)
def test_every_form_gives_the_same_queries(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == THREE


def test_a_zip_of_one_file_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "q.jsonl.zip", "w") as archive:
        archive.writestr("q.jsonl", ROWS)
    assert read(tmp_path / "q.jsonl.zip") == THREE


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('[{"query_id": 1, "query_text": "x", "weight": 1.10}]')
    [row] = read_queries(read_source(str(tmp_path / "q.json")))
    assert row.format([7]) == b'{"query_id": 1, "query_text": "x", "weight": 1.10, "item_ids": [7]}'


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("q.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("q.jsonl", b"<html>502 Bad Gateway</html>", "is a web page"),
        ("q.jsonl", b"", "is empty"),
        (
            "q.jsonl.gz",
            gzip.compress(ROWS.encode(), mtime=0)[:-9],
            "the gzip file is cut off or damaged",
        ),
        ("q.zip", b"PK\x03\x04 cut", "the zip archive is cut off or damaged"),
        (
            "q.csv",
            "标题,价格\n裙,1\n".encode(),
            "begins with a line that names its columns, query_id and query_text",
        ),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadQueries, match=problem):
        read_source(str(tmp_path / name))
    with pytest.raises(BadDataset, match=problem):
        read_judgments(tmp_path / name)


def test_an_array_of_texts_gives_them_their_numbers(tmp_path: Path) -> None:
    path = write_file(tmp_path / "q.json", '["红裙",\n "黑鞋"]')
    assert [json.loads(line) for line in read_query_lines(path).splitlines()] == [
        {"query_id": 1, "query_text": "红裙"},
        {"query_id": 2, "query_text": "黑鞋"},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image_id,image\n5,AAAA\n", "these are images"),
        ("5,红裙\n6,黑鞋\n", "begins with a line that names its columns"),
        ("query_id,query_text,item_ids\n5,红裙,1\n", "write them in JSON lines"),
        ('id,text\n5,"红\n裙"\n\n ,黑鞋\n', r"q\.csv:5: the query has no id"),
        ('id,text\n5,"红\n裙"\n\n5,黑鞋\n', r"q\.csv:5: the id of line 3 again"),
    ],
)
def test_a_table_of_another_kind_says_what_to_do(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(BadDataset, match=problem):
        read_query_lines(write_file(tmp_path / "q.csv", text))


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_damage_of_a_zip_is_an_error_of_the_file(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "q.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("q.jsonl", ROWS)
    whole = path.read_bytes()
    problems = 0
    for position in range(4, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            read_query_lines(path)
        except BadDataset:
            problems += 1
    assert problems > 50


def test_ids_in_a_table_are_integers_where_item_ids_are(tmp_path: Path) -> None:
    digits = ["7", "9" * 18, "007", "9" * 19, "9" * 5000]
    path = write_file(tmp_path / "q.csv", "id,text\n" + "".join(f"{id_},裙\n" for id_ in digits))
    ids = [json.loads(line)["query_id"] for line in read_query_lines(path).splitlines()]
    assert ids == [7, 10**18 - 1, *digits[2:]]


def test_line_separators_in_the_texts_of_an_array_are_kept(tmp_path: Path) -> None:
    path = write_file(tmp_path / "q.json", '[{"query_id": 1,\r\n "query_text": "红\u2028裙\x85"}]')
    assert [json.loads(line) for line in read_query_lines(path).split(b"\n")[:-1]] == [
        {"query_id": 1, "query_text": "红\u2028裙\x85"}
    ]


def test_a_text_may_begin_with_a_bracket(tmp_path: Path) -> None:
    path = write_file(tmp_path / "q.txt", "[包邮] 红裙\n[1] 黑鞋\n")
    assert read(path) == [(1, "[包邮] 红裙"), (2, "[1] 黑鞋")]
