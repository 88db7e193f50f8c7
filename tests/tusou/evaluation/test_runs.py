"""Run files and predictions: valid rows are read, and every problem has its line."""

import json
from pathlib import Path

import pytest

from tusou.evaluation.runs import Run, RunHeader, format_run, read_run

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
        (3, "not a JSON object (Expecting property name enclosed in double quotes, column 2)"),
        (4, "not a JSON object"),
        (5, "query 2: 3 items instead of 2"),
        (6, "query 3: repeats 7"),
        (7, "query 4: true is neither an integer nor a string"),
        (8, "query 5: 2.0 is neither an integer nor a string"),
        (9, "query 6: the list of items is missing"),
        (10, "query 1 again, first on line 1"),
        (11, "query_id is missing, or neither an integer nor a string"),
        (12, "query_id is missing, or neither an integer nor a string"),
        (13, "not a JSON object (NaN is not a JSON number)"),
        (14, "not UTF-8 at byte 30; save the file as UTF-8"),
        (15, "blank line"),
    )


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    assert read_run(tmp_path / "run", top_k=10).rankings == {}


HEADER = RunHeader(
    bundle="0123456789abcdef",
    model="demo",
    index="Flat",
    settings={"top_k": 2, "prompt": None},
    made={"seconds": 1.5},
)


def test_a_written_run_file_is_read_back(tmp_path: Path) -> None:
    run = Run({}, {5: (3, 1), "裙": (1,), 6: ()}, scores={5: (0.5, 0.25)}, header=HEADER)
    (tmp_path / "run.jsonl").write_text(format_run(run), "utf-8")
    back = read_run(tmp_path / "run.jsonl", top_k=10)  # only predictions have to be so deep
    assert (back.rankings, back.scores) == (run.rankings, run.scores)
    assert (back.header, back.problems, back.depth) == (HEADER, (), 2)
    assert back.lines == {5: 2, "裙": 3, 6: 4}
    first, second, *_ = (tmp_path / "run.jsonl").read_text("utf-8").splitlines()
    assert json.loads(first)["tusou_run"] == 1
    assert second == '{"query_id": 5, "item_ids": [3, 1], "scores": [0.5, 0.25]}'


@pytest.mark.parametrize(
    ("header", "location"),
    [
        ('{"tusou_run": 2, "bundle": null, "model": null, "index": null}', "tusou_run"),
        ('{"tusou_run": 1, "model": null, "index": null}', "bundle"),
        ('{"tusou_run": 1, "bundle": null, "model": null, "index": null, "k": 1}', "k"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, header: str, location: str) -> None:
    (tmp_path / "run").write_text(header + "\n" + GOOD)
    message = f"the header of a run file has a wrong value at {location}"
    assert read_run(tmp_path / "run").problems == ((1, message),)


def test_problems_of_a_run_file_count_its_header(tmp_path: Path) -> None:
    rows = [
        '{"query_id": 1, "item_ids": [1, 2], "scores": [1]}',
        '{"query_id": 2, "item_ids": [1], "scores": [true]}',
        '{"query_id": 3, "item_ids": [1], "scores": [1e999]}',
        '{"query_id": 1, "item_ids": [1]}',
    ]
    (tmp_path / "run").write_text("\n".join([HEADER.model_dump_json(), *rows]))
    assert read_run(tmp_path / "run").problems == (
        (2, "query 1: scores must be 2 finite numbers"),
        (3, "query 2: scores must be 1 finite numbers"),
        (4, "query 3: scores must be 1 finite numbers"),
        (5, "query 1 again, first on line 2"),
    )


@pytest.mark.parametrize("name", ["image_id", "item_id"])
def test_rows_of_image_queries(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").write_text(f'{{"{name}": 5, "text_ids": [3, 1]}}\n')
    assert read_run(tmp_path / "run").rankings == {5: (3, 1)}
