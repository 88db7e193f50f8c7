"""Cost and gain of fine-tuning all weights, all but a tower, or adapters (LoRA).

python -m benchmarks.lora [--pairs N] [--epochs N] [--steps N] [--save]

Gain: the demo model is fine-tuned on hard drawn products and searches unseen ones, with a
95 % interval over the queries. Cost: steps of a ViT-B/16 with random weights, since memory and time
do not depend on them. Every training is a process of its own, forked after the imports, whose peak
of resident memory counts.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.toy.difficulty import HARD
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.validate import rank

from benchmarks.forked import measure_in_process
from benchmarks.record import record
from benchmarks.stock import save_random_model
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset
from tusou.encoders.training_record import read_record
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import per_query

_MODES: dict[str, dict[str, Any]] = {
    "all weights": {},
    "image tower frozen": {"freeze": "vision"},
    "LoRA 8, attention": {"lora": 8, "lora_alpha": 16.0},
    "LoRA 8, all layers": {"lora": 8, "lora_alpha": 16.0, "lora_target": "all"},
}
_STEP_PAIRS = 8


def main() -> None:
    """Measure every mode and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4000, help="to train on; 0: cost alone")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="of a ViT-B/16")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, object] = {}
        if arguments.pairs:
            figures["gain"] = _measure_gain(Path(folder), arguments.pairs, arguments.epochs)
        figures["cost of a ViT-B/16"] = _measure_cost(Path(folder), arguments.steps)
    record("lora", figures, save=arguments.save)


def _measure_gain(folder: Path, pairs: int, epochs: int) -> dict[str, object]:
    data = folder / "hard"
    sizes = {"train": (pairs, pairs), "valid": (500, 250), "test": (2000, 1000)}
    splits = [SplitSize(name, *size) for name, size in sizes.items()]
    write_toy(data, splits, 3, workers=2, difficulty=HARD)
    figures: dict[str, object] = {"before": measure_in_process(partial(_search, "demo", data))}

    def run(out: Path, mode: dict[str, Any]) -> dict[str, object]:
        # Ten times the default suits a model of this size; adapters take ten times more.
        rate = 5e-3 if "lora" in mode else 5e-4
        spec = TrainSpec("demo", epochs, 128, rate, 0.05, 0, "fp32", **mode)
        return {**_train(data, spec, out), **_search(str(out), data)}

    for number, (name, mode) in enumerate(_MODES.items()):
        out = folder / f"{number}.pt"
        figures[name] = measure_in_process(partial(run, out, mode))
    return figures


def _measure_cost(folder: Path, steps: int) -> dict[str, object]:
    data, model = folder / "steps", folder / "vit-b-16.pt"
    pairs = steps * _STEP_PAIRS
    write_toy(data, [SplitSize("train", pairs, pairs), SplitSize("valid", 12, 4)], 3)
    measure_in_process(partial(_save_model, model))
    figures: dict[str, object] = {"steps": steps, "pairs of a step": _STEP_PAIRS}
    for number, (name, mode) in enumerate(_MODES.items()):
        spec = TrainSpec(str(model), 1, _STEP_PAIRS, 5e-5, 0.001, 0, "fp32", **mode)
        out = folder / f"steps-{number}.pt"
        figures[name] = measure_in_process(partial(_train, data, spec, out))
    return figures


def _save_model(path: Path) -> dict[str, object]:
    save_random_model(path)
    return {}


def _train(data: Path, spec: TrainSpec, out: Path) -> dict[str, object]:
    report = train(str(data), spec, out, device="cpu")
    saved = read_record(out)
    assert saved is not None
    return {
        "trained parameters": saved.settings["trained_parameters"],
        "minutes": round(report.seconds / 60, 2),
    }


def _search(model: str, data: Path) -> dict[str, object]:
    """Return mean_recall on the test split, in percent, and its interval."""
    opened = open_trainable(model)
    encoder = SplitEncoder(opened.traits.transform, opened.tokenize)
    split = load_split(open_dataset(str(data)), "test", encoder, data / ".pixels", NoProgress())
    hits = per_query(rank(opened, split, torch.device("cpu")))
    values = np.mean([hits[f"hit@{k}"] for k in (1, 5, 10)], axis=0)
    interval = intervals({"mean_recall": values})["mean_recall"]
    return {
        "mean_recall": round(100 * float(values.mean()), 2),
        "interval": [round(100 * end, 2) for end in interval],
    }


if __name__ == "__main__":
    main()
