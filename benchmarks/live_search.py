"""Time of a search with a tenth of the pool live, beside the same pool without live items.

python -m benchmarks.live_search BUNDLE

BUNDLE is one of images. It is copied; as many items as a tenth of it are added live, each with the
vector of an item. Both are searched in turn for texts that no cache holds, encoding included.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.record import record
from tusou.bundle.bundle import Bundle
from tusou.live.operations import Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

_BATCH = 256


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "bundle")
        shutil.copytree(arguments.bundle, root)
        static, live = SearchPipeline.open(root), SearchPipeline.open(root)
        added = static.bundle.item_count // 10
        store = LiveStore(root, live.bundle)
        live.attach_live(store.attach(live.bundle, None))
        for start in range(0, added, _BATCH):
            store.change(*_upserts(live.bundle, range(start, min(start + _BATCH, added))))
        texts = (f"第{number}款红色碎花连衣裙" for number in count())
        times = _measure({"static": static, "live": live}, texts, arguments.rounds)
        store.close()
    medians = {name: 1000 * float(np.median(each)) for name, each in times.items()}
    figures: dict[str, object] = {
        "items": static.bundle.item_count,
        "live_items": added,
        **{f"{name}_p50_ms": round(median, 3) for name, median in medians.items()},
        "ratio": round(medians["live"] / medians["static"], 3),
    }
    record("live_search", figures)


def _upserts(bundle: Bundle, numbers: range) -> Iterator[Upsert]:
    for number in numbers:
        vector, digest = bundle.vectors[number], bundle.manifest.model.sha256
        yield Upsert(f"9{number:09}", b"an image", vector, digest, {})


def _measure(
    pipelines: dict[str, SearchPipeline], texts: Iterator[str], rounds: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in pipelines}
    for number in range(rounds):
        for name, pipeline in pipelines.items():
            query = Query.of_text(next(texts), 10)
            started = perf_counter()
            pipeline.search([query])
            if number:  # the first one warms up
                times[name].append(perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
