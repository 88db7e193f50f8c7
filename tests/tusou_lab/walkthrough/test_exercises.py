"""The walk-throughs on small data: real commands, and the files to hand in."""

import csv
import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest
import typer
from tusou_lab.run_commands import CommandRunner, ToySize
from tusou_lab.walkthrough import flickr8k, muge, teddy
from tusou_lab.walkthrough.cli import walkthrough as command
from typer.testing import CliRunner

from tusou.cli.main import VERBS
from tusou.core.lazy_import import LazyImport

DOCS = Path(__file__).parents[3] / "docs"
SIZE = ToySize(items=80, queries=15, seed=5)


class InProcessRunner(CommandRunner):
    """Runs the verbs in this process, which has already imported what they need."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        self.command(verb, *arguments)
        app = typer.Typer()
        app.command()(LazyImport(VERBS[verb][0]).load())  # type: ignore[type-var]
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, done.output
        return done.stdout


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def verbs(echoed: str) -> list[str]:
    """Return the verbs that were run, in order."""
    return re.findall(r"^\$ tusou (\w+)", echoed, re.MULTILINE)


def documented(name: str) -> list[str]:
    page = (DOCS / f"walkthrough-{name}.md").read_text("utf-8")
    return re.findall(rf"`tusou (\w+) {name}/", page)


@pytest.mark.timeout(300)
def test_muge_from_files_to_submission(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, (predictions, packed) = muge.run(tmp_path, SIZE, runner)
    queries = rows(tmp_path / "data" / "MR_test_queries.jsonl")
    assert all(row.keys() == {"query_id", "query_text"} for row in queries)
    submitted = rows(predictions)
    assert [row["query_id"] for row in submitted] == [row["query_id"] for row in queries]
    assert {len(set(row["item_ids"])) for row in submitted} == {10}
    with ZipFile(packed) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).decode().splitlines()
    assert [json.loads(line)["item_ids"] for line in lines] == [
        row["item_ids"] for row in submitted
    ]
    assert metrics["test"]["mean_recall"] > 80
    assert metrics["valid"]["mean_recall"] > 80
    assert documented("muge") == verbs("\n".join(runner.lines))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["muge", "--dir", str(tmp_path)])
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "output_exists")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.timeout(300)
def test_flickr8k_both_ways_with_its_report(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, made = flickr8k.run(tmp_path, SIZE, runner)
    assert metrics["text_to_image"]["hit@10"] > 80
    assert metrics["image_to_text"]["hit@10"] > 80
    page, twin = made
    assert page.read_text("utf-8").startswith("<!doctype html>")
    markdown = twin.read_text("utf-8")
    assert "text_to_image（以文搜图） | image_to_text（以图搜文）" in markdown
    assert "## 9 参数曲线" in markdown
    assert documented("flickr8k") == verbs("\n".join(runner.lines))


@pytest.mark.timeout(300)
def test_teddy_writes_the_tables_of_both_tasks(tmp_path: Path) -> None:
    runner = InProcessRunner()
    metrics, made = teddy.run(tmp_path, SIZE, runner)
    assert metrics["text_to_image"]["hit@5"] > 80
    assert metrics["image_to_text"]["hit@5"] > 80
    first, second = map(table, made)
    assert first[0] == ["text_id", "similarity_ranking", "result_image_id"]
    assert second[0] == ["image_id", "similarity_ranking", "result_text_id"]
    for task in (first, second):
        assert len(task) == 1 + 5 * SIZE.queries
        assert [row[1] for row in task[1:]] == ["1", "2", "3", "4", "5"] * SIZE.queries
    assert [path.name for path in made] == ["result1.csv", "result2.csv"]
    assert documented("teddy") == verbs("\n".join(runner.lines))
