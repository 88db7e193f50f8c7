"""Our index beside FAISS's flat index and a plain matrix product with top-k, on structured vectors.

Each call has new queries. The three take turns, in two ways: eight calls at a time, as in a stream
of searches, and one call at a time. A single call finds the processor's caches full of other data,
as does a search that follows encoding.

`make bench` runs this. Alone, for a pool of another size:
python -m benchmarks.search --items 250000
"""

import argparse
from collections.abc import Callable
from itertools import cycle
from time import perf_counter

import faiss
import numpy as np
import torch
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.index.tune import build_index

from benchmarks.record import record
from benchmarks.stock import structured
from benchmarks.timing import compare
from tusou.core.arrays import Ids, Vectors
from tusou.evaluation.index_recall import exact_neighbors, index_recall

DIM, K = 512, 10
BATCHES = (1, 256)
_LARGE = 2**28  # bytes; larger than any cache, so every search starts cold


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    record("search", measure_search(args.items, args.rounds), f"search_{args.items}")


def measure_search(count: int, rounds: int) -> dict[str, object]:
    """Build the index that `auto` chooses, and time it beside the two others."""
    vectors, queries = structured(count, DIM, 1), structured(max(BATCHES), DIM, 2)
    started = perf_counter()
    built = build_index(vectors, IndexRequest(), lambda: structured(220, DIM, 3))
    seconds = perf_counter() - started
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    stored = torch.from_numpy(vectors)
    figures: dict[str, object] = {
        "auto": f"{built.spec.factory} {built.spec.tuning}".strip(),
        "index_recall@10 on fresh queries": round(
            index_recall(
                vectors,
                queries,
                built.index.search(queries, K).ids,
                exact_neighbors(vectors, queries, K),
                K,
            ),
            5,
        ),
        "built in, s": round(seconds, 1),
        "trials": [trial.model_dump() for trial in built.trials],
    }
    for batch in BATCHES:
        variants = {
            "IndexFlatIP": _search_in_batches(lambda rows: flat.search(rows, K), queries, batch),
            "torch product": _search_in_batches(
                lambda rows: _product(stored, rows), queries, batch
            ),
            "tusou": _search_in_batches(lambda rows: built.index.search(rows, K), queries, batch),
        }
        if vectors.nbytes < _LARGE:
            figures[f"batch {batch}"] = compare(variants, "IndexFlatIP", rounds, at_once=8)
            figures[f"batch {batch}, cold caches"] = compare(variants, "IndexFlatIP", rounds)
        else:
            figures[f"batch {batch}"] = compare(variants, "IndexFlatIP", rounds)
    return figures


def _search_in_batches(
    search: Callable[[Vectors], object], queries: Vectors, batch: int
) -> Callable[[], object]:
    batches = cycle(np.split(queries, len(queries) // batch))
    return lambda: search(next(batches))


@torch.inference_mode()
def _product(stored: torch.Tensor, queries: Vectors) -> Ids:
    ids: Ids = torch.topk(torch.from_numpy(queries) @ stored.T, K, dim=1).indices.numpy()
    return ids


if __name__ == "__main__":
    main()
