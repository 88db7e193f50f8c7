"""The parts that all walk-throughs share: their size, their report and their files."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tusou_lab.run_commands import CommandRunner, Echo, ToySize, claim_folder

# By task or split: metric -> percent.
Metrics: TypeAlias = dict[str, dict[str, float]]
# Runs its commands in a folder, and returns its metrics and the files to look at or to hand in.
Exercise: TypeAlias = Callable[[Path, ToySize, CommandRunner], tuple[Metrics, tuple[Path, ...]]]


@dataclass(frozen=True, slots=True)
class ExerciseReport:
    """The scores of an exercise, the files it made, and the seconds of each verb."""

    metrics: Metrics
    made: tuple[str, ...]
    seconds: dict[str, float]


def run_exercise(
    exercise: Exercise, folder: Path, size: ToySize, echo: Echo, *, force: bool
) -> ExerciseReport:
    """Run an exercise, from drawing its data to the files to hand in.

    Raises OutputExists if the folder holds other files, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    runner = CommandRunner(echo)
    metrics, made = exercise(folder, size, runner)
    return ExerciseReport(metrics, tuple(map(str, made)), runner.seconds)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def write_bare_queries(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write queries without their correct items, as contestants get them."""
    write_rows(path, ({key: row[key] for key in ("query_id", "query_text")} for row in rows))
