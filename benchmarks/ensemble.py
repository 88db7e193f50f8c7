"""The time of a query of a bundle of two models, beside the sum of those of each model alone.

python -m benchmarks.ensemble

Single queries of two to eighteen characters through the whole pipeline, without the query cache;
three bundles take turns in one process. The models are the demo model and one of its size with
other weights, unless another second model is given.
"""

import argparse
import tempfile
from itertools import cycle
from pathlib import Path

import torch
from tusou_indexer.build import BuildSpec, build

from benchmarks.record import record
from benchmarks.stock import jpegs, queries
from benchmarks.timing import Work, fastest_in_turn
from tusou.cli.progress import NoProgress
from tusou.encoders import DEMO, find_weights
from tusou.encoders.checkpoint import read_tensors
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

IMAGES = 32
BOTH = "both"


def main() -> None:
    """Measure both bundles and the one of both models, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--second", help="name or path of the second model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        roots = build_bundles(Path(name), arguments.second)
        works = {label: single_queries(root) for label, root in roots.items()}
        seconds = fastest_in_turn(works, arguments.rounds)
    ms = {label: round(1000 * fastest, 3) for label, fastest in seconds.items()}
    alone = sum(fastest for label, fastest in seconds.items() if label != BOTH)
    figures: dict[str, object] = {
        "fastest_ms": ms,
        "both_beside_the_sum": round(seconds[BOTH] / alone, 3),
    }
    record("ensemble", figures)


def build_bundles(folder: Path, second: str | None) -> dict[str, Path]:
    """Index the same images with each model, and with both."""
    if second is None:
        second = str(save_other_weights(folder / "other.pt"))
    images = folder / "images"
    images.mkdir()
    for number, data in enumerate(jpegs(IMAGES, 224)):
        (images / f"{number}.jpg").write_bytes(data)
    alone = {"first": DEMO, "second": second}
    roots = {label: folder / label for label in alone}
    for label, model in alone.items():
        build(BuildSpec(str(images), model, device="cpu"), roots[label], NoProgress())
    both = BuildSpec(
        str(images), DEMO, device="cpu", more_models=(second,), reuse=tuple(roots.values())
    )
    build(both, folder / BOTH, NoProgress())
    return {**roots, BOTH: folder / BOTH}


def save_other_weights(path: Path) -> Path:
    """Save the demo model with noise in its weights: speed does not depend on them."""
    torch.manual_seed(0)
    tensors = read_tensors(find_weights(DEMO).path)
    state = {
        f"module.{name}": tensor + 0.01 * torch.randn(tensor.shape).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in tensors.items()
    }
    torch.save({"epoch": 0, "step": 0, "name": "other", "state_dict": state}, path)
    return path


def single_queries(root: Path) -> Work:
    """Return a function that searches a bundle for one text after the other."""
    pipeline = SearchPipeline.open(root, device="cpu")
    pipeline.warm_up()
    texts = cycle(queries(50))
    return lambda: pipeline.search([Query.of_text(next(texts), 10)])


if __name__ == "__main__":
    main()
