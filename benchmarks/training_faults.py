"""Trainings with planted faults on real photos: scores at the start and of OUT, causes named.

    python -m benchmarks.training_faults DATA [--model demo] [--pairs 256] [--epochs 1]

DATA holds MUGE files with a train and a valid split. Each case trains with the recipe of its data,
for --epochs, and scores the model that was written again, beside the model at the start.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.recipes import choose_recipe
from tusou_lab.train.recipes import measure as measure_size
from tusou_lab.train.run import train
from tusou_lab.train.sources import TrainingSource
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.validate import validate

from benchmarks.record import record
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset
from tusou.data import open_dataset
from tusou.data.formats.muge import read_queries
from tusou.encoders.training_record import read_record

Line = tuple[str, str]  # an item's id, and its image in base64
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class FaultyTraining:
    """A train split with a fault, or settings that are one."""

    name: str
    lines: Sequence[Line]
    rows: Sequence[Row]
    lr: float | None = None
    batch_size: int | None = None


def main() -> None:
    """Train every case, score, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    figures: dict[str, object] = {"model": arguments.model, "epochs": arguments.epochs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in faults(arguments.data, arguments.pairs):
            figures[case.name] = measure(case, arguments, folder)
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
        FaultyTraining("rate of 1e-2", lines, rows, lr=1e-2),
        FaultyTraining("batch larger than the data", lines, rows, batch_size=2 * pairs),
        FaultyTraining("all duplicates", one_image, rows),
        FaultyTraining("one class", of_class, [most, {**most, "query_id": 0}]),
        FaultyTraining("one pair", of_class[:1], [pair]),
    ]


def measure(case: FaultyTraining, arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return the scores on valid before and after, and the causes that were named."""
    data, model = arguments.data, arguments.model
    source, out = folder / case.name, folder / "out" / f"{case.name}.pt"
    source.mkdir()
    text = "".join(f"{item}\t{image}\n" for item, image in case.lines)
    (source / "MR_train_imgs.tsv").write_text(text)
    queries = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in case.rows)
    (source / "MR_train_queries.jsonl").write_text(queries)
    size = measure_size([TrainingSource(str(source))], model)
    recipe = choose_recipe(size, None, adapters=False)
    spec = TrainSpec(
        model,
        arguments.epochs,
        case.batch_size or recipe.batch_size,
        recipe.lr if case.lr is None else case.lr,
        recipe.weight_decay,
        0,
        "fp32",
        recipe=recipe.name,
    )
    figures: dict[str, object] = {"images": len(case.lines), "queries": len(case.rows)}
    try:
        report = train(str(source), spec, out, valid=f"{data}#valid", device="cpu", why=True)
    except BadDataset as error:
        return {**figures, "refused": str(error).replace(str(source), "DATA")}
    record_of = read_record(out)
    assert record_of is not None
    return {
        **figures,
        "start": score(model, data, folder / "out"),
        "after": [round(epoch.percent["mean_recall"], 2) for epoch in record_of.epochs],
        "kept_epoch": report.best_epoch,
        "out": score(str(out), data, folder / "out"),
        "causes": list(report.findings),
    }


def score(model: str, data: Path, folder: Path) -> float:
    """Return the mean_recall of a model on the valid split, in percent."""
    trained = open_trainable(model)
    encoder = SplitEncoder(trained.traits.transform, trained.tokenize)
    cache = folder / ".pixels"  # of the trainings
    split = load_split(open_dataset(str(data)), "valid", encoder, cache, NoProgress())
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
