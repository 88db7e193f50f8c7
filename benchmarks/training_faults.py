"""Trainings with planted faults on real photos: scores at the start and of OUT, causes named.

    python -m benchmarks.training_faults DATA [--model demo] [--pairs 640]

DATA holds MUGE files with a train and a valid split. Each case runs `tusou train` and scores the
model that it wrote again, beside the model at the start.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.validate import validate

from benchmarks.record import record
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset
from tusou.data.formats.muge import read_queries

Line = tuple[str, str]  # an item's id, and its image in base64
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class FaultyTraining:
    """A train split with a fault, or options that are one."""

    name: str
    lines: Sequence[Line]
    rows: Sequence[Row]
    options: tuple[str, ...] = ()


def main() -> None:
    """Train every case, score, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--pairs", type=int, default=640)
    arguments = parser.parse_args()
    figures: dict[str, object] = {"model": arguments.model}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in faults(arguments.data, arguments.pairs):
            figures[case.name] = measure(case, arguments.data, arguments.model, folder)
            print(case.name, json.dumps(figures[case.name], ensure_ascii=False), file=sys.stderr)
    record("training_faults", figures)


def faults(data: Path, pairs: int) -> list[FaultyTraining]:
    """Return the cases: the data as it is, and with each fault."""
    with (data / "MR_train_imgs.tsv").open() as file:
        lines = [(item, image) for item, image in map(_split, file)][:pairs]
    ids = {item for item, _ in lines}
    rows: list[Row] = []
    for query in read_queries(data / "MR_train_queries.jsonl"):
        present = [item for item in query.item_ids or () if str(item) in ids]
        if present:
            rows.append({"query_id": query.query_id, "query_text": query.text, "item_ids": present})
    most = max(rows, key=lambda row: len(_items(row)))
    of_class = [line for line in lines if line[0] in set(map(str, _items(most)))]
    one_image = [(item, lines[0][1]) for item, _ in lines]
    pair = {**most, "item_ids": _items(most)[:1]}
    return [
        FaultyTraining("as it is", lines, rows),
        FaultyTraining("rate of 1e-2", lines, rows, ("--lr", "1e-2")),
        FaultyTraining("batch larger than the data", lines, rows, ("--batch-size", str(2 * pairs))),
        FaultyTraining("all duplicates", one_image, rows),
        FaultyTraining("one class", of_class, [most, {**most, "query_id": 0}]),
        FaultyTraining("one pair", of_class[:1], [pair]),
    ]


def measure(case: FaultyTraining, data: Path, model: str, folder: Path) -> dict[str, object]:
    """Return the scores on valid before and after, what the command said, and how it ended."""
    source, out = folder / case.name / "data", folder / case.name / "out.pt"
    source.mkdir(parents=True)
    text = "".join(f"{item}\t{image}\n" for item, image in case.lines)
    (source / "MR_train_imgs.tsv").write_text(text)
    queries = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in case.rows)
    (source / "MR_train_queries.jsonl").write_text(queries)
    command = [sys.executable, "-m", "tusou", "train", str(source), f"{data}#valid"]
    command += ["--model", model, "--out", str(out), "--epochs", "2", "--why", *case.options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    figures: dict[str, object] = {
        "exit_code": done.returncode,
        "images": len(case.lines),
        "start": score(model, data, folder),
        "causes": [line.removeprefix("note: ").replace(str(out), out.name) for line in said],
    }
    if done.returncode:
        error = done.stderr.splitlines()[-1].replace(str(source), "DATA")
        return {**figures, "refused": error}
    rows = [json.loads(line) for line in out.with_name("out.pt.history.jsonl").open()]
    return {
        **figures,
        "epochs": [round(row["mean_recall"], 2) for row in rows[1:]],
        "kept_epoch": rows[-1]["best_epoch"],
        "out": score(str(out), data, folder),
    }


def score(model: str, data: Path, folder: Path) -> float:
    """Return the mean_recall of a model on the valid split, in percent."""
    trained = open_trainable(model)
    encoder = SplitEncoder(trained.traits.transform, trained.tokenize)
    split = load_split(open_dataset(str(data)), "valid", encoder, folder / "valid", NoProgress())
    return round(validate(trained, split, torch.device("cpu"))["mean_recall"], 2)


def _split(line: str) -> Line:
    item, image = line.rstrip("\n").split("\t")
    return item, image


def _items(row: Row) -> list[object]:
    items = row["item_ids"]
    assert isinstance(items, list)
    return items


if __name__ == "__main__":
    main()
