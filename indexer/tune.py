"""Choose index type and search parameters for a pool: by its size, then by measured recall."""

from dataclasses import dataclass
from math import log2, sqrt

import numpy as np

from tusou.config import FaissSpec
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.base import best_first
from tusou.types import Ids, Neighbors, Vectors

AUTO = "auto"
# Up to here comparing with every vector takes a few milliseconds and is always right.
EXACT_ITEMS = 200_000
TARGET_RECALL = 0.99

_K = 10
_PROBES = 500
_SEED = 20_221
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Tuned:
    """A filled index, how it was made, and the index_recall@10 measured for it, if it was."""

    index: VectorIndex
    spec: FaissSpec
    index_recall: float | None


def build_index(vectors: Vectors, factory: str) -> Tuned:
    """Build the index of a FAISS factory string, or for `auto` the one that suits the pool.

    `vectors` (n, d) may be mapped from a file. An inverted-file index gets the smallest nprobe
    whose index_recall@10 reaches 0.99; any other index that is not exact is measured as it is.
    """
    if factory == AUTO:
        factory = "Flat" if len(vectors) <= EXACT_ITEMS else f"IVF{_lists(len(vectors))},Flat"
    spec = FaissSpec(factory)
    index = create_index(spec, vectors.shape[1])
    index.add(np.arange(len(vectors), dtype=np.int64), np.ascontiguousarray(vectors))
    if factory == "Flat":
        return Tuned(index, spec, None)
    probes = _probes(vectors)
    truth = _exact(vectors, probes)
    tunings = [f"nprobe={2**power}" for power in range(13)] if "IVF" in factory else [""]
    for tuning in tunings:
        index.tune(tuning)
        recall = _recall(index.search(probes, _K), truth)
        if recall >= TARGET_RECALL:
            break
    return Tuned(index, FaissSpec(factory, tuning), recall)


def _lists(count: int) -> int:
    """Give FAISS's own advice for the number of inverted lists: 4 sqrt(n), a power of two."""
    return int(2 ** round(log2(4 * sqrt(count))))


def _probes(vectors: Vectors) -> Vectors:
    """Draw queries from between the pool's vectors: harder than the vectors themselves."""
    pairs = np.random.default_rng(_SEED).integers(len(vectors), size=(2, _PROBES))
    between = vectors[pairs[0]] + vectors[pairs[1]]
    unit: Vectors = between / np.linalg.norm(between, axis=1, keepdims=True)
    return unit


def _exact(vectors: Vectors, queries: Vectors) -> Ids:
    best = Neighbors(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    for start in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK])
        flat = create_index(FaissSpec("Flat"), vectors.shape[1])
        flat.add(np.arange(start, start + len(block), dtype=np.int64), block)
        found = flat.search(queries, _K)
        best = best_first(np.hstack([best.ids, found.ids]), np.hstack([best.scores, found.scores]))
        best = Neighbors(best.ids[:, :_K], best.scores[:, :_K])
    return best.ids


def _recall(found: Neighbors, truth: Ids) -> float:
    shared = [np.intersect1d(a, b).size for a, b in zip(found.ids, truth, strict=True)]
    return float(np.mean(shared) / truth.shape[1])
