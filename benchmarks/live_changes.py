"""Durable changes a second, and the cost of one change and of one search, by the live items there.

python -m benchmarks.live_changes

Items have images of 20 KB and vectors of 512 numbers, as those of ViT-B/16. A batch is one record
and one fsync. `benchmarks.live_upserts` measures the same over HTTP.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.record import record
from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.attributes.schema import Attributes
from tusou.live.operations import Upsert
from tusou.live.store import LiveStore

DIM, IMAGE_BYTES, BATCH = 512, 20_000, 256
ROUNDS = 20


def main() -> None:
    """Measure at several numbers of live items and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments = parser.parse_args()
    vectors = unit_vectors(10_000, 1, DIM)
    image = b"\xff\xd8\xff" + bytes(IMAGE_BYTES)

    def upserts(first: int, count: int, content: bytes) -> list[Upsert]:
        numbers = range(first, first + count)
        attributes: Attributes = {"title": "碎花连衣裙", "price": 99.0}
        return [
            Upsert(f"{n}.jpg", content, vectors[n % len(vectors)], MODEL, attributes)
            for n in numbers
        ]

    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "b"
        ids = [f"v{number}.jpg" for number in range(10_000)]
        bundle = write_vector_bundle(root, ids, vectors, [b"x"] * len(ids))
        store, count, seconds = LiveStore(root, bundle), 0, list[float]()
        for live in arguments.live:
            while count < live:
                size = min(BATCH, live - count)
                started = perf_counter()
                store.change(*upserts(count, size, image if live <= 10_000 else image[:300]))
                seconds.append((perf_counter() - started) / size)
                count += size
            single, searched = list[float](), list[float]()
            for n in range(ROUNDS):
                started = perf_counter()
                store.change(*upserts(count, 1, image))
                single.append(perf_counter() - started)
                count += 1
                started = perf_counter()
                store.snapshot.search(vectors[n : n + 1], 10)
                searched.append(perf_counter() - started)
            figures[f"{live}_live_items"] = {
                "batched_upserts_per_s": round(1 / float(np.median(seconds[-40:]))),
                "single_upsert_p50_ms": round(float(np.median(single)) * 1000, 2),
                "search_live_p50_ms": round(float(np.median(searched)) * 1000, 2),
            }
        store.close()
    record("live_changes", figures)


if __name__ == "__main__":
    main()
