"""`tusou info` of a student: its teacher, its training, and what it retains; damage is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import typer
from tusou_indexer.cli import info
from typer.testing import CliRunner

from tusou.encoders.student.folder import Student
from tusou.encoders.student.record import RECORD, TABLE


def show(*words: object) -> Any:
    app = typer.Typer()
    app.command()(info)
    return CliRunner().invoke(app, [*map(str, words)])


def test_a_student_is_described(table: Student) -> None:
    shown = show(table.path).stdout
    teacher = table.record.teacher
    assert f"student   tiny.pt-student-table (sha256 {table.sha256[:12]})" in shown
    assert f"teacher   tiny.pt (sha256 {teacher.sha256[:12]}, {teacher.dim} dimensions)" in shown
    assert "training  171 queries, " in shown
    assert "on 19 held-out texts" in shown
    assert "judged 1  test.jsonl, 20 queries: mean_recall " in shown
    described = json.loads(show(table.path, "--json").stdout)
    assert (described["size"], described["sha256"]) == ("table", table.sha256)


def test_a_damaged_student_is_refused(table: Student, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(table.path, copy)
    (copy / TABLE).write_bytes(b"")
    refused = show(copy)
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "bad_model")
    (copy / RECORD).unlink()
    assert show(copy).exit_code == 1  # no student, no model and no bundle
