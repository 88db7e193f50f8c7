"""Gains of a small new model that follows a teacher over one that learns from labels alone.

    python -m benchmarks.distillation [--folder FOLDER] [--save]

The teacher is the demo model, which was trained on many more drawn products than the student sees.
The student has one layer in each tower, begins with random weights, and is trained on a drawn split
of few pairs. Epochs are chosen on the drawn split valid, and what is reported is measured on the
drawn split test. Gains, intervals and kept runs are those of `benchmarks.training_recipes`.
"""

import argparse
import json
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

import torch
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.validate import validate

from benchmarks.record import record
from benchmarks.training_ingredients import INGREDIENTS
from benchmarks.training_recipes import RecipeBenchmark, RecipeData
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset

_TEACHER = "demo"
_SEED = 23
_CHOSEN_AND_REPORTED = {"valid": (300, 300), "test": (600, 500)}  # items, queries
_STUDENT = {
    "embed_dim": 64,
    "image_resolution": 64,
    "vision_layers": 1,
    "vision_width": 64,
    "vision_patch_size": 8,
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 128,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 1,
    "text_type_vocab_size": 2,
}


def main() -> None:
    """Train what is missing, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(gettempdir()) / "tusou-distillation")
    parser.add_argument("--pairs", type=int, default=1000, help="of the drawn split train")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--until", type=float, default=1e9, help="minutes for further runs")
    parser.add_argument("--save", action="store_true", help="write the result file")
    arguments = parser.parse_args()
    data, student = arguments.folder / f"drawn-{arguments.pairs}", arguments.folder / "student.json"
    if not (data / "MR_test_queries.jsonl").exists():
        sizes = [SplitSize(name, *size) for name, size in _CHOSEN_AND_REPORTED.items()]
        sizes.append(SplitSize("train", arguments.pairs, arguments.pairs))
        write_toy(data, sizes, _SEED, workers=2)
    student.write_text(json.dumps(_STUDENT))
    bench = RecipeBenchmark(
        RecipeData(f"{data}#train", f"{data}#valid", f"{data}#test"),
        TrainSpec(str(student), arguments.epochs, arguments.batch_size, 1e-3, 0.05, 0, "fp32"),
        arguments.folder / "runs",
        arguments.seeds,
        monotonic() + 60 * arguments.until,
    )
    names = [name for name, each in INGREDIENTS.items() if each.kind == "teacher"]
    figures = bench.measure(names)
    figures |= {"model": "one layer in each tower", "pairs": arguments.pairs}
    figures["teacher"] = {
        "model": _TEACHER,
        "mean_recall": round(_score_teacher(f"{data}#test", arguments.folder / ".pixels"), 2),
    }
    record("distillation", figures, save=arguments.save)


def _score_teacher(data: str, cache: Path) -> float:
    """Return the teacher's mean_recall in percent."""
    model, dataset = open_trainable(_TEACHER), open_dataset(data)
    encoder = SplitEncoder(model.traits.transform, model.tokenize)
    split = load_split(dataset, dataset.split(), encoder, cache, NoProgress())
    return validate(model, split, torch.device("cpu"))["mean_recall"]


if __name__ == "__main__":
    main()
