"""Indexes on a GPU: FAISS Flat and IVF in device memory, and the index in torch."""

import statistics
import tempfile
from functools import partial
from math import log2, sqrt
from pathlib import Path

import numpy as np

from benchmarks.stock import structured
from benchmarks.timing import repeated
from tusou.bundle.array_file import save_array
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Vectors
from tusou.indexes import create_index, faiss_device, load_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec

DIM, K = 512, 10
BATCHES = (1, 32, 256, 1024)
_LARGE = 1_000_000


def compare_indexes(device: str, count: int, seconds: float) -> dict[str, object]:
    """Search pools of `count` and, on a GPU, of a million; FAISS runs where its wheel can."""
    figures: dict[str, object] = {"FAISS is on": faiss_device(device)}
    queries = structured(max(BATCHES), DIM, 2)
    for size in (count, _LARGE) if device == "cuda" else (count,):
        vectors = structured(size, DIM, 1)
        specs: dict[str, IndexSpec] = {
            "torch": TorchSpec(),
            "FAISS Flat": FaissSpec("Flat"),
            "FAISS IVF": FaissSpec(f"IVF{_lists(size)},Flat", "nprobe=16"),
        }
        figures[f"{size:,} x {DIM}, ms a call"] = {
            name: _search_times(spec, vectors, queries, device, seconds)
            for name, spec in specs.items()
        }
    return figures


def _search_times(
    spec: IndexSpec, vectors: Vectors, queries: Vectors, device: str, seconds: float
) -> dict[str, float]:
    built = create_index(spec, DIM)
    built.fill(vectors)
    with tempfile.TemporaryDirectory() as folder:
        built.save(Path(folder, "index"))
        save_array(Path(folder, "vectors"), vectors)
        stored = VectorFile(Path(folder, "vectors"), vectors.shape)
        index = load_index(spec, Path(folder, "index"), device, stored)
    figures = {}
    for batch in BATCHES:
        rows = np.ascontiguousarray(queries[:batch])
        times = repeated(partial(index.search, rows, K), seconds / len(BATCHES))
        figures[f"batch {batch}"] = round(1000 * statistics.median(times), 4)
    return figures


def _lists(count: int) -> int:
    return int(2 ** round(log2(4 * sqrt(count))))
