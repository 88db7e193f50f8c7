"""`tusou evaluate --check` accepts valid submissions and lists every line a contest refuses."""

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import typer
from tusou_lab.evaluate.cli import evaluate as command
from typer.testing import CliRunner, Result

from tusou.data.submission import format_teddy_table, zip_rows

TEN = list(range(100, 110))
Row = dict[str, object]


def lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def predicted(**changes: object) -> Row:
    return {"query_id": 1, "query_text": "裙", "item_ids": TEN} | changes


SECOND = predicted(query_id=2, query_text="鞋")


def zip_file(name: str, data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    asked = [{"query_id": 1, "query_text": "裙"}, {"query_id": 2, "query_text": "鞋"}]
    (tmp_path / "asked.jsonl").write_bytes(lines(asked))  # a test split, without correct items
    (tmp_path / "pool.tsv").write_text("".join(f"{n}\t/9j/\n" for n in range(100, 120)))
    return tmp_path


@pytest.fixture
def check(folder: Path) -> Callable[..., Result]:
    def run(name: str, data: bytes, *more: str) -> Result:
        (folder / name).write_bytes(data)
        app = typer.Typer()
        app.command()(command)
        words = [f"{folder}/{name}", "--answers", f"{folder}/asked.jsonl", "--check", *more]
        return CliRunner().invoke(app, [word.replace("@", f"{folder}/") for word in words])

    return run


def test_a_valid_submission_is_accepted(folder: Path, check: Callable[..., Result]) -> None:
    good = lines([predicted(), SECOND])
    result = check("pred.jsonl", good, "--pool", "@pool.tsv")
    assert result.stdout == f"{folder}/pred.jsonl: a MUGE submission, 2 queries\n"
    result = check("pred.zip", zip_file("anything.jsonl", good))
    assert result.stdout.endswith("give --pool to check that all items are in it\n")
    document = check("pred.jsonl", good, "--json").stdout
    assert json.loads(document) == {"contest": "MUGE", "queries": 2, "ids_checked": False}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([SECOND, predicted()], ":1: query 2 where 1 is expected", id="order"),
        pytest.param([predicted()], "query 2 has no row", id="missing"),
        pytest.param([predicted(), SECOND, SECOND], ":3: query 2 again", id="twice"),
        pytest.param([predicted(item_ids=TEN[:9]), SECOND], ":1: query 1: 9 items", id="nine"),
        pytest.param(
            [predicted(item_ids=[100] * 10), SECOND], ":1: query 1: repeats 100", id="repeat"
        ),
        pytest.param(
            [predicted(item_ids=[*map(str, TEN)]), SECOND],
            ":1: query 1: ids must be integers",
            id="strings",
        ),
        pytest.param(
            [predicted(item_ids=[*TEN[:9], 7]), SECOND], ":1: query 1: not in the pool: 7", id="out"
        ),
        pytest.param(
            [predicted(query_text="裤"), SECOND],
            ":1: query_text differs from the query",
            id="other-text",
        ),
        pytest.param(
            [{"text_id": 1, "text": "裙", "image_ids": TEN}, SECOND],
            ":1: the field query_id is missing",
            id="other-names",
        ),
    ],
)
def test_a_row_that_muge_refuses_is_listed(
    check: Callable[..., Result], rows: list[Row], message: str
) -> None:
    result = check("pred.jsonl", lines(rows), "--pool", "@pool.tsv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


def test_a_byte_order_mark_and_a_damaged_zip_are_refused(check: Callable[..., Result]) -> None:
    good = lines([predicted(), SECOND])
    errors = check("pred.jsonl", b"\xef\xbb\xbf" + good).stderr
    assert "pred.jsonl:1: the file begins with a byte order mark" in errors
    assert "the zip cannot be read" in check("pred.zip", zip_rows(good.splitlines())[:60]).stderr


def test_teddy_tables(folder: Path, check: Callable[..., Result]) -> None:
    (folder / "asked.jsonl").write_bytes(
        lines([{"text_id": f"Word-{n}", "text": "裙"} for n in (1, 2)])
    )
    five = [f"{n}.jpg" for n in range(5)]
    good = format_teddy_table([("Word-1", five), ("Word-2", five)], "text_to_image")
    assert "a Teddy Cup submission, 2 queries" in check("result1.csv", good).stdout
    lacking = check("result1.csv", format_teddy_table([("Word-1", five)], "text_to_image"))
    assert 'query "Word-2" has no row' in lacking.stderr
    short = format_teddy_table([("Word-1", five), ("Word-2", five[:4])], "text_to_image")
    errors = check("result1.csv", short).stderr
    assert "result1.csv:7: query Word-2: 4 rows instead of 5" in errors


def test_submissions_are_written_from_any_run(folder: Path, check: Callable[..., Result]) -> None:
    good = lines([SECOND, predicted()])  # a run in another order
    app = typer.Typer()
    app.command()(command)
    answered = [predicted(item_ids=[101]), SECOND | {"item_ids": [101]}]
    (folder / "scored.jsonl").write_bytes(lines(answered))
    (folder / "run.jsonl").write_bytes(good)
    words = ["run.jsonl", "--answers", "scored.jsonl", "--save", "out.zip", "--save", "out.csv"]
    done = CliRunner().invoke(app, [w if w[0] == "-" else f"{folder}/{w}" for w in words])
    assert done.exit_code == 0, done.output
    written = (folder / "out.zip").read_bytes()
    assert "a MUGE submission" in check("again.zip", written, "--pool", "@pool.tsv").stdout
    table = (folder / "out.csv").read_text().splitlines()
    assert table[:3] == ["text_id,similarity_ranking,result_image_id", "1,1,100", "1,2,101"]
    assert len(table) == 11


def test_an_invalid_submission_is_not_written(folder: Path, check: Callable[..., Result]) -> None:
    (folder / "asked.jsonl").write_bytes(
        lines([{"query_id": "a", "query_text": "裙", "item_ids": ["x"]}])
    )
    row = {"query_id": "a", "item_ids": ["x", "y"]}
    app = typer.Typer()
    app.command()(command)
    (folder / "run.jsonl").write_bytes(lines([row]))
    words = [f"{folder}/run.jsonl", "--answers", f"{folder}/asked.jsonl", "--top-k", "2"]
    short = CliRunner().invoke(app, [*words, "--save", f"{folder}/out.csv"])
    assert 'holds 5 items for each query, but query "a" has 2' in short.stderr
    assert not (folder / "out.csv").exists()
