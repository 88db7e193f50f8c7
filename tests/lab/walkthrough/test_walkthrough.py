"""The walk-throughs, small: real commands, real files, and what is handed in."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest
import typer
from typer.testing import CliRunner, Result

from lab.walkthrough.cli import walkthrough as command

DOCS = Path(__file__).parents[3] / "docs"


def walk(name: str, folder: Path, *words: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    sizes = ["--items", "120", "--queries", "20", "--seed", "5"]
    return CliRunner().invoke(app, [name, "--dir", str(folder), *sizes, "--json", *words])


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def verbs(done: Result) -> list[str]:
    """List what was run, in order."""
    return re.findall(r"^\$ tusou (\w+)", done.stderr, re.MULTILINE)


@pytest.mark.timeout(300)
def test_muge_from_files_to_submission(tmp_path: Path) -> None:
    folder = tmp_path / "muge"
    done = walk("muge", folder)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    asked = rows(folder / "data" / "MR_test_queries.jsonl")
    assert all(row.keys() == {"query_id", "query_text"} for row in asked)
    submitted = rows(folder / "test_pred.jsonl")
    assert [row["query_id"] for row in submitted] == [row["query_id"] for row in asked]
    assert {len(set(row["item_ids"])) for row in submitted} == {10}
    with ZipFile(folder / "test_pred.zip") as archive:
        assert archive.read("test_pred.jsonl") == (folder / "test_pred.jsonl").read_bytes()
    assert found["metrics"]["test"]["mean_recall"] > 80
    assert found["metrics"]["valid"]["mean_recall"] > 80
    page = (DOCS / "walkthrough-muge.md").read_text("utf-8")
    assert re.findall(r"`tusou (\w+) muge/", page) == verbs(done)
    again = walk("muge", tmp_path)
    assert (again.exit_code, again.stderr.split(":")[0]) == (1, "output_exists")
