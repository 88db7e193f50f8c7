"""The time of a query of a bundle of two models, beside the sum of those of each model alone.

python -m benchmarks.ensemble

Single queries of two to eighteen characters through the whole pipeline, without the query cache;
three bundles take turns in one process. The models are the demo model and a random ViT-B/16.
"""

import argparse
import tempfile
from itertools import cycle
from pathlib import Path

from tusou_indexer.build import BuildSpec, build

from benchmarks.record import record
from benchmarks.stock import jpegs, queries, save_random_model
from benchmarks.timing import Work, fastest_in_turn
from tusou.cli.progress import NoProgress
from tusou.encoders import DEMO
from tusou.encoders.torch.cpu_threads import on_one_core
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

IMAGES = 32
BOTH = "both"


def main() -> None:
    """Measure both bundles and the one of both models, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        roots = build_bundles(Path(name))
        works = {label: single_queries(root) for label, root in roots.items()}
        seconds = fastest_in_turn(works, arguments.rounds)
    ms = {label: round(1000 * fastest, 3) for label, fastest in seconds.items()}
    alone = sum(fastest for label, fastest in seconds.items() if label != BOTH)
    figures: dict[str, object] = {
        "fastest_ms": ms,
        "both_beside_the_sum": round(seconds[BOTH] / alone, 3),
    }
    record("ensemble", figures)


def build_bundles(folder: Path) -> dict[str, Path]:
    """Index the same images with each model, and with both."""
    large, images = folder / "vit-b-16.pt", folder / "images"
    with on_one_core():
        save_random_model(large)
    images.mkdir()
    for number, data in enumerate(jpegs(IMAGES, 224)):
        (images / f"{number}.jpg").write_bytes(data)
    alone = {"demo": DEMO, "vit-b-16": str(large)}
    roots = {label: folder / label for label in alone}
    for label, model in alone.items():
        build(BuildSpec(str(images), model, device="cpu"), roots[label], NoProgress())
    both = BuildSpec(
        str(images), DEMO, device="cpu", more_models=(str(large),), reuse=tuple(roots.values())
    )
    build(both, folder / BOTH, NoProgress())
    return {**roots, BOTH: folder / BOTH}


def single_queries(root: Path) -> Work:
    """Return a function that searches a bundle for one text after the other."""
    pipeline = SearchPipeline.open(root, device="cpu")
    pipeline.warm_up()
    texts = cycle(queries(50))
    return lambda: pipeline.search([Query.of_text(next(texts), 10)])


if __name__ == "__main__":
    main()
