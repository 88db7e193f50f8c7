"""Shared parts of the walk-throughs: inputs, report and files."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.data import Dataset, open_dataset, split_source
from tusou.data.listed_images import list_folders
from tusou_lab.run_commands import CommandRunner, Echo, ToySize, claim_folder

# By task or split: metric -> percent.
Metrics: TypeAlias = dict[str, dict[str, float]]

_MAX_BAD = "10%"  # unusable images that a walk-through accepts in the user's data; they are counted


@dataclass(frozen=True, slots=True)
class ExerciseInputs:
    """The data of an exercise, drawn or the user's (`data`), and its model."""

    size: ToySize
    data: str | None = None  # a folder, or DATA#SPLIT
    model: str = "demo"
    epochs: int = 0  # of a fine-tuning on train, where the exercise has one

    @property
    def index_options(self) -> list[str]:
        """The options of `tusou index`; drawn images are all usable."""
        accepted = ["--max-bad", _MAX_BAD] if self.data else []
        return ["--model", self.model, *accepted]


# Runs its commands in a folder, and returns its metrics and the files to look at or to hand in.
Exercise: TypeAlias = Callable[
    [Path, ExerciseInputs, CommandRunner], tuple[Metrics, tuple[Path, ...]]
]


@dataclass(frozen=True, slots=True)
class ExerciseReport:
    """The scores of an exercise, the files it made, and the seconds of each verb."""

    metrics: Metrics
    made: tuple[str, ...]
    seconds: dict[str, float]


def run_exercise(
    exercise: Exercise, folder: Path, inputs: ExerciseInputs, echo: Echo, *, force: bool
) -> ExerciseReport:
    """Run an exercise, from its data, drawn or given, to the files to hand in.

    Raises OutputExists if the folder holds other files, InvalidRequest if the data lies in it,
    BadDataset for data of another kind, CommandFailed when a step fails.
    """
    if inputs.data is not None:
        check_apart(folder, split_source(inputs.data)[0])
        find_dataset(inputs.data)
    claim_folder(folder, force=force)
    runner = CommandRunner(echo)
    metrics, made = exercise(folder, inputs, runner)
    return ExerciseReport(metrics, tuple(map(str, made)), runner.seconds)


def check_apart(folder: Path, data: Path) -> None:
    """Raise InvalidRequest if emptying the working folder would delete the data."""
    if data.resolve().is_relative_to(folder.resolve()):
        raise InvalidRequest(
            f"--data {data} lies in --dir {folder}, which is emptied; give another --dir"
        )


def find_dataset(source: str, *preferred: str) -> tuple[str, Dataset]:
    """Return the path of the dataset in a folder, or in one of its subfolders, and the dataset.

    Archives often hold their files in one more folder. Of several datasets, the first with one of
    the preferred splits or a single one is taken, else the first. A folder of images without
    anything else is not what an exercise needs. Raises BadDataset if there is nothing else.
    """
    path, split = split_source(source)
    if not path.exists():
        raise BadDataset(f"{path} does not exist; give a folder of data")
    folders = [path, *(list_folders(path) if path.is_dir() else ())]
    datasets = list[tuple[str, Dataset]]()
    for folder in folders:
        try:
            dataset = open_dataset(f"{folder}#{split}" if split else str(folder))
            names = dataset.splits()
            next(iter(dataset.scan_queries(names[0])), None)
        except BadDataset:
            continue
        if not preferred or len(names) == 1 or {*preferred} & {*names}:
            return str(folder), dataset
        datasets.append((str(folder), dataset))
    if datasets:
        return datasets[0]
    raise BadDataset(
        f"{path}: no queries or captions beside images, there or one folder below; see "
        "docs/datasets.md for the files of each format"
    )


def choose_split(source: str, *preferred: str) -> str:
    """Return `DATA#SPLIT` with the first preferred split that exists, else with the only one."""
    path, dataset = find_dataset(source, *preferred)
    for name in preferred:
        if name in dataset.splits():
            return f"{path}#{name}"
    return f"{path}#{dataset.split()}"


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def write_bare_queries(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write queries without their correct items, as contestants get them."""
    write_rows(path, ({key: row[key] for key in ("query_id", "query_text")} for row in rows))
