"""Trains the toy judge and measures it on products that it has never seen.

python -m benchmarks.toy_judge --out toy-judge
python -m benchmarks.toy_judge --out toy-judge --measure-only

Needs the extra `llm`, as `make test-llm` installs it.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.record import record
from benchmarks.toy_judge.make import draw_training_items, make_toy_judge
from benchmarks.toy_judge.measure import measure
from benchmarks.toy_judge.training import TrainingSpec
from benchmarks.toy_judge.world import toy_domain

_FACTS = "training.json"  # beside the model


def main() -> None:
    """Train, measure, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--short-steps", type=int, default=900)
    parser.add_argument("--whole-steps", type=int, default=150)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--pool", type=int, default=1500)
    parser.add_argument("--measure-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.measure_only:
        train(arguments)
    facts = json.loads((arguments.out / _FACTS).read_text())
    with tempfile.TemporaryDirectory() as name:
        domain = toy_domain(arguments.queries)
        figures = measure(arguments.out.resolve(), domain, arguments.pool, Path(name))
    record("toy_judge", {"training": facts, **figures})


def train(arguments: argparse.Namespace) -> None:
    """Train the model, and write the facts of the training beside it."""
    began = perf_counter()
    items = draw_training_items(arguments.images, os.cpu_count() or 1)
    spec = TrainingSpec(arguments.short_steps, arguments.whole_steps)
    report = make_toy_judge(arguments.out, toy_domain(1), items, spec)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    facts = {
        "images": arguments.images,
        "steps": [arguments.short_steps, arguments.whole_steps],
        "losses": report.losses,
        "model_mb": round(size / 1e6, 1),
        "seconds": round(perf_counter() - began),
    }
    (arguments.out / _FACTS).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
