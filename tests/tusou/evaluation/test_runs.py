"""Run files: what is read, and what is said about the rest."""

from pathlib import Path

import pytest

from tusou.evaluation.runs import read_run

GOOD = (
    '{"query_id": 5, "query_text": "裙", "item_ids": [3, 1]}\n'
    '{"query_id": "a", "item_ids": [1, 2]}\n'
)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GOOD.encode(), id="muge"),
        pytest.param(GOOD.encode("utf-8-sig"), id="bom"),
        pytest.param(GOOD.replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(GOOD.rstrip().encode(), id="no-last-newline"),
        pytest.param(
            GOOD.replace("query_id", "text_id").replace("item_ids", "image_ids").encode(),
            id="cn_clip",
        ),
    ],
)
def test_reads_both_schemas(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(data)
    run = read_run(tmp_path / "run", top_k=2)
    assert run.rankings == {5: (3, 1), "a": (1, 2)}
    assert run.lines == {5: 1, "a": 2}
    assert run.problems == ()


def test_every_problem_has_its_line(tmp_path: Path) -> None:
    lines = [
        b'{"query_id": 1, "item_ids": [1, 2]}',
        b"",
        b"{",
        b"[]",
        b'{"query_id": 2, "item_ids": [1, 2, 3]}',
        b'{"query_id": 3, "item_ids": [7, 7]}',
        b'{"query_id": 4, "item_ids": [1, true]}',
        b'{"query_id": 5, "item_ids": [1, 2.0]}',
        b'{"query_id": 6}',
        b'{"query_id": 1, "item_ids": [3, 4]}',
        b'{"query_id": true, "item_ids": [3, 4]}',
        b'{"item_ids": [3, 4]}',
        b'{"query_id": 7, "item_ids": [3, NaN]}',
        b'{"query_id": 8, "item_ids": ["\xff", 1]}',
        b"  ",
    ]
    (tmp_path / "run").write_bytes(b"\n".join(lines))
    run = read_run(tmp_path / "run", top_k=2)
    assert run.rankings == {1: (1, 2)}
    assert run.lines == {1: 1, 2: 5, 3: 6, 4: 7, 5: 8, 6: 9}
    assert run.problems == (
        (2, "blank line"),
        (3, "not a JSON object"),
        (4, "not a JSON object"),
        (5, "query 2: 3 items instead of 2"),
        (6, "query 3: repeats 7"),
        (7, "query 4: true is neither an integer nor a string"),
        (8, "query 5: 2.0 is neither an integer nor a string"),
        (9, "query 6: the list of items is missing"),
        (10, "query 1 again, first on line 1"),
        (11, "query_id is missing, or neither an integer nor a string"),
        (12, "query_id is missing, or neither an integer nor a string"),
        (13, "not a JSON object"),
        (14, "not a JSON object"),
        (15, "blank line"),
    )


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    assert read_run(tmp_path / "run", top_k=10).rankings == {}
