"""Search on Milvus beside FAISS: whether the answers are those of exact search, and the times.

python -m benchmarks.milvus --uri http://127.0.0.1:19530 --items 30000

The server may be one of milvus-lite:
python -m milvus_lite server --data-dir DIR --host 127.0.0.1 --port 19530

Structured vectors, each with a number below 100 as its attribute. Ids and scores are compared with
exact search among the vectors that pass, without a filter and under filters that pass 50, 10 and
1 % of them. FAISS's exact index and Milvus take turns, one query a call.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from benchmarks.record import record
from benchmarks.stock import structured
from tusou.attributes.filters import Filter, parse_filter
from tusou.bundle.array_file import save_array
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Vectors
from tusou.indexes import VectorIndex, create_index, load_index
from tusou.indexes.milvus_index import MilvusIndex
from tusou.indexes.specs import FaissSpec, MilvusSpec

DIM, K, QUERIES = 512, 10, 100
SHARES = (100, 50, 10, 1)  # percent of the vectors that pass; all: no filter
_INSERTED = 10_000  # vectors at once
_SECONDS = 60.0


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--items", type=int, default=30_000)
    args = parser.parse_args()
    record("milvus", measure(args.uri, args.items))


def measure(uri: str, count: int) -> dict[str, object]:
    """Fill a collection, compare its answers with exact search, time them, and drop it."""
    vectors, queries = structured(count, DIM, 1), structured(QUERIES, DIM, 2)
    numbers = np.random.default_rng(3).integers(100, size=count)
    flat = create_index(FaissSpec("Flat"), DIM)
    flat.fill(vectors)
    started = perf_counter()
    with _filled(uri, vectors, numbers.tolist()) as index:
        figures: dict[str, object] = {
            "items": count,
            "dimensions": DIM,
            "k": K,
            "queries": QUERIES,
            "seconds to fill": round(perf_counter() - started, 1),
        }
        for share in SHARES:
            selected = parse_filter({"number": {"$lt": share}} if share < 100 else {})
            figures[f"{share} % pass"] = _compare(
                index, flat, queries, selected, np.flatnonzero(numbers < share)
            )
    return figures


def _compare(
    index: MilvusIndex, flat: VectorIndex, queries: Vectors, selected: Filter, keys: Ids
) -> dict[str, object]:
    same_ids = same_scores = 0
    times: dict[str, list[float]] = {"Milvus": [], "FAISS Flat, without a filter": []}
    for row in range(len(queries)):
        query = queries[row : row + 1]
        started = perf_counter()
        neighbors = index.search_where(query, K, selected)
        between = perf_counter()
        flat.search(query, K)
        times["Milvus"].append(between - started)
        times["FAISS Flat, without a filter"].append(perf_counter() - between)
        exact = index.search_among(query, K, keys)
        same_ids += np.array_equal(neighbors.ids, exact.ids)
        same_scores += np.array_equal(neighbors.scores, exact.scores)
    return {
        "answers with the ids of exact search": f"{same_ids / len(queries):.0%}",
        "answers with its scores": f"{same_scores / len(queries):.0%}",
        "milliseconds": {name: round(1000 * min(each), 2) for name, each in times.items()},
    }


@contextmanager
def _filled(uri: str, vectors: Vectors, numbers: list[int]) -> Iterator[MilvusIndex]:
    """Yield an index whose collection holds the vectors; it is dropped at the end."""
    spec = MilvusSpec(uri, "tusou_benchmark", "0" * 64, (("number", "integer"),), _SECONDS)
    with TemporaryDirectory() as folder:
        path = Path(folder)
        save_array(path / "vectors.npy", vectors)
        index = MilvusIndex(spec, DIM)
        for start in range(0, len(vectors), _INSERTED):
            part = slice(start, start + _INSERTED)
            rows = vectors[part]
            keys = np.arange(start, start + len(rows))
            attributes = [{"number": number} for number in numbers[part]]
            index.add(keys, rows, list(map(str, keys.tolist())), attributes)
        index.save(path / "index")
        stored = VectorFile(path / "vectors.npy", vectors.shape)
        loaded = load_index(spec, path / "index", vectors=stored)
        assert isinstance(loaded, MilvusIndex)
        yield loaded
        loaded.collection.drop()


if __name__ == "__main__":
    main()
