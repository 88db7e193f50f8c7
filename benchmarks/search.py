"""Our index beside FAISS's flat one and a plain product with top-k, over structured vectors.

Every call has other queries than the last. The ways alternate: by eight calls, as in a stream of
searches; and call by call, when each finds the processor's caches full of another's data, as a
search after encoding finds them full of the model's weights.

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

DIM, K = 512, 10
BATCHES = (1, 256)
_LARGE = 2**28  # bytes that fill any cache: every search finds it cold


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    record("search", measure_search(args.items, args.rounds), f"search_{args.items}")


def measure_search(count: int, rounds: int) -> dict[str, object]:
    """Build what `auto` chooses for the pool, and search it and its rivals."""
    vectors, asked = structured(count, DIM, 1), structured(max(BATCHES), DIM, 2)
    started = perf_counter()
    built = build_index(vectors, IndexRequest(), lambda: structured(220, DIM, 3))
    seconds = perf_counter() - started
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    rows = torch.from_numpy(vectors)
    figures: dict[str, object] = {
        "auto": f"{built.spec.factory} {built.spec.tuning}".strip(),
        "index_recall@10 on fresh queries": round(
            _recall(built.index.search(asked, K).ids, flat.search(asked, K)[1]), 5
        ),
        "built in, s": round(seconds, 1),
        "trials": [one.model_dump() for one in built.trials],
    }
    for batch in BATCHES:
        ways = {
            "IndexFlatIP": _asking(lambda some: flat.search(some, K), asked, batch),
            "torch product": _asking(lambda some: _product(rows, some), asked, batch),
            "tusou": _asking(lambda some: built.index.search(some, K), asked, batch),
        }
        if vectors.nbytes < _LARGE:
            figures[f"batch {batch}"] = compare(ways, "IndexFlatIP", rounds, at_once=8)
            figures[f"batch {batch}, cold caches"] = compare(ways, "IndexFlatIP", rounds)
        else:
            figures[f"batch {batch}"] = compare(ways, "IndexFlatIP", rounds)
    return figures


def _asking(
    search: Callable[[Vectors], object], asked: Vectors, batch: int
) -> Callable[[], object]:
    batches = cycle(np.split(asked, len(asked) // batch))
    return lambda: search(next(batches))


@torch.inference_mode()
def _product(rows: torch.Tensor, queries: Vectors) -> Ids:
    ids: Ids = torch.topk(torch.from_numpy(queries) @ rows.T, K, dim=1).indices.numpy()
    return ids


def _recall(found: Ids, truth: Ids) -> float:
    shared = [np.intersect1d(a, b).size for a, b in zip(found, truth, strict=True)]
    return float(np.mean(shared)) / K


if __name__ == "__main__":
    main()
