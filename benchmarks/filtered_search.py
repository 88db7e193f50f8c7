"""Search under filters that half to one in ten thousand items pass, beside search without one.

    python -m benchmarks.filtered_search [--items N | --full] [--index INDEX]

Structured vectors in the index that `tusou index` would choose. The same queries search without a
filter and with each filter, in turn, one at a time and eight at a time. Filters are those of an
attribute table; `exact` says whether the top 10 of all queries are those of brute force over the
items that pass. `first_ms` is the extra time of a filter that was not used before.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.index.tune import build_index

from benchmarks.record import record
from benchmarks.stock import structured
from benchmarks.timing import fastest_in_turn
from tusou.attributes.filters import Filter, parse_filter
from tusou.attributes.table import AttributeTable
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.indexes import VectorIndex, load_index
from tusou.indexes.specs import IndexSpec
from tusou.retrieval.retriever import NeighborRequest, find_neighbors
from tusou.retrieval.selection import Selection

DIM, K, QUERIES = 512, 10, 200
PERCENT = (50.0, 10.0, 1.0, 0.1, 0.01)
_PRICES = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--full", action="store_true", help="1,000,000 items")
    parser.add_argument("--index", default="auto")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    count = 1_000_000 if options.full else options.items
    vectors, queries = structured(count, DIM, 1), structured(QUERIES, DIM, 2)
    with TemporaryDirectory() as folder:
        spec, index = build(vectors, options.index, Path(folder))
        figures = measure(index, vectors, queries, options.rounds)
    kind = f"{getattr(spec, 'factory', 'torch')} {getattr(spec, 'tuning', '')}".strip()
    name = f"filtered_search_{count}" + ("" if options.index == "auto" else f"_{options.index}")
    record("filtered_search", {"items": count, "index": kind, **figures}, name.lower())


def build(vectors: Vectors, index: str, folder: Path) -> tuple[IndexSpec, VectorIndex]:
    """Build an index and open it as a bundle's is opened."""
    built = build_index(vectors, IndexRequest(index), lambda: structured(220, DIM, 3))
    built.index.save(folder / "index")
    np.save(folder / "vectors.npy", vectors)
    stored = VectorFile(folder / "vectors.npy", (len(vectors), DIM))
    return built.spec, load_index(built.spec, folder / "index", "cpu", stored)


def measure(
    index: VectorIndex, vectors: Vectors, queries: Vectors, rounds: int
) -> dict[str, object]:
    """Return for each filter whether its results are exact, and its times beside no filter."""
    prices = np.random.default_rng(4).permutation(len(vectors)) * _PRICES // len(vectors)
    table = AttributeTable.from_rows({"price": "integer"}, ({"price": int(p)} for p in prices))
    selections: dict[str, Selection | None] = {"none": None}
    first: dict[str, float] = {"none": 0}
    for percent in PERCENT:
        selected = parse_filter({"price": {"$lt": round(_PRICES * percent / 100)}})
        started = perf_counter()
        selections[f"{percent:g} %"] = select(table, selected)
        first[f"{percent:g} %"] = 1000 * (perf_counter() - started)
    single = {name: searches(index, queries, each, 1) for name, each in selections.items()}
    batches = {name: searches(index, queries, each, 8) for name, each in selections.items()}
    seconds, batch_seconds = fastest_in_turn(single, rounds), fastest_in_turn(batches, rounds)
    return {
        name: {
            **exactness(index, vectors, queries, selection),
            "ms": round(1000 * seconds[name], 3),
            "times": round(seconds[name] / seconds["none"], 2),
            "batch_of_8_ms": round(1000 * batch_seconds[name], 3),
            "batch_of_8_times": round(batch_seconds[name] / batch_seconds["none"], 2),
            "first_ms": round(first[name], 2),
        }
        for name, selection in selections.items()
    }


def select(table: AttributeTable, selected: Filter) -> Selection:
    """Return the selection of a filter, with all that its first search computes."""
    selection = Selection(table.mask(selected), selected)
    _ = selection.keys, selection.count
    return selection


def searches(
    index: VectorIndex, queries: Vectors, selection: Selection | None, batch: int
) -> Callable[[], object]:
    """Return a function that searches with the next queries, always by the same number."""
    batches = cycle(np.split(queries, len(queries) // batch))
    return lambda: search(index, next(batches), selection)


def search(index: VectorIndex, queries: Vectors, selection: Selection | None) -> list[list[int]]:
    requests = [NeighborRequest(query, K, selection) for query in queries]
    return [ranking.keys for ranking in find_neighbors(index, requests)]


def exactness(
    index: VectorIndex, vectors: Vectors, queries: Vectors, selection: Selection | None
) -> dict[str, object]:
    """Compare the results of all queries with brute force over the items that pass."""
    keys = np.arange(len(vectors)) if selection is None else selection.keys
    nearest = exact_neighbors(vectors[keys], queries, K)
    truth = Neighbors(np.where(nearest.ids < 0, -1, keys[nearest.ids]), nearest.scores)
    results = padded(search(index, queries, selection))
    recall = index_recall(vectors, queries, results, truth, K)
    passed = selection is None or bool(selection.mask[results[results >= 0]].all())
    return {
        "items": len(keys),
        "exact": recall == 1 and passed,
        "recall@10": round(recall, 5),
    }


def padded(rankings: Sequence[Sequence[int]]) -> Ids:
    ids = np.full((len(rankings), K), -1, np.int64)
    for row, keys in zip(ids, rankings, strict=True):
        row[: len(keys)] = keys
    return ids


if __name__ == "__main__":
    main()
