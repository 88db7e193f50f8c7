"""FAISS behind the VectorIndex promise: described by a factory string, on CPU or GPU."""

import re
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Self

import faiss
import numpy as np

from tusou.config import FaissSpec
from tusou.errors import CorruptBundle, InvalidRequest
from tusou.indexes.base import best_first
from tusou.types import Ids, Neighbors, Vectors

# Codes or shadows stored instead of vectors, unless the factory ends by re-scoring on the vectors.
_QUANTISED = re.compile(r"PQ|SQ|LSH|RQ|LSQ|RaBitQ|ZnLattice|ITQ|PCA|RR\d")
_REFINED = re.compile(r"(RFlat|Refine\(Flat\))$")
_CPU_ONLY = re.compile(r"fs|HNSW|RFlat|Refine")  # no GPU index of FAISS is made from these
# A refined index compares a multiple of k candidates exactly; what it finds for fewer items than
# its recall was measured at is then no worse.
_FEWEST = 10

# What FAISS's selection on a GPU can hold.
_GPU_DEEPEST = 2048


class FaissIndex:
    """An index described by a FAISS factory string, always over inner product."""

    def __init__(self, spec: FaissSpec, dim: int) -> None:
        try:
            index = faiss.index_factory(dim, f"IDMap,{spec.factory}", faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise InvalidRequest(
                f"{spec.factory!r} is no FAISS factory for {dim} dimensions: {_brief(error)}"
            ) from None
        self._open(spec, index, "cpu")

    def _open(self, spec: FaissSpec, index: faiss.Index, device: str) -> None:
        self.exact_scores = bool(_REFINED.search(spec.factory)) or not _QUANTISED.search(
            spec.factory
        )
        self.dim: int = index.d
        self._fewest = _FEWEST if _REFINED.search(spec.factory) else 1
        self._deepest = sys.maxsize
        self._lock: AbstractContextManager[object] = nullcontext()
        if device.startswith("cuda") and not _CPU_ONLY.search(spec.factory):
            index = self._to_gpu(index, device)
        self._index = index
        self.tune(spec.tuning)

    def _to_gpu(self, index: faiss.Index, device: str) -> faiss.Index:
        # One resources object, one search at a time: GPU indexes are not safe to share.
        self._resources = faiss.StandardGpuResources()
        self._lock = threading.Lock()
        self._deepest = _GPU_DEEPEST
        number = int(device.partition(":")[2] or 0)
        return faiss.index_cpu_to_gpu(self._resources, number, index)

    def tune(self, tuning: str) -> None:
        """Set search parameters such as `nprobe=16`; an empty string leaves the defaults."""
        if not tuning:
            return
        space = faiss.GpuParameterSpace() if hasattr(self, "_resources") else faiss.ParameterSpace()
        try:
            space.set_index_parameters(self._index, tuning)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise InvalidRequest(
                f"{tuning!r} does not tune this FAISS index: {_brief(error)}"
            ) from None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Store vectors under new ids; the first vectors train an index that needs training."""
        if not self._index.is_trained:
            _train_projection(self._index, vectors)
            self._index.train(vectors)
        self._index.add_with_ids(vectors, ids)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query; on a GPU padding begins after 2,048 at the latest."""
        with self._lock:
            deep = max(min(k, self._deepest), self._fewest)
            scores, ids = self._index.search(queries, deep)
        if (missing := k - ids.shape[1]) > 0:
            ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
            scores = np.pad(scores, ((0, 0), (0, missing)))
        if (ids[:, -1] < 0).any():
            scores[ids == -1] = -np.inf
        if not (scores[:, :-1] > scores[:, 1:]).all():  # sorted as they come, but for equals
            found = best_first(ids, scores)
            ids, scores = found.ids, found.scores
        return Neighbors(ids[:, :k], scores[:, :k])

    def save(self, path: Path) -> None:
        """Write the index to one file in FAISS's format."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, spec: FaissSpec, path: Path, device: str = "cpu") -> Self:
        """Read what `save` wrote; `device` may be `cuda` where faiss-gpu is installed."""
        index = cls.__new__(cls)
        try:
            loaded = faiss.read_index(str(path))
        except RuntimeError as error:
            raise CorruptBundle(f"{path.name} is not a FAISS index: {_brief(error)}") from None
        index._open(spec, loaded, device)  # noqa: SLF001 - our own constructor
        return index


def gpu_count() -> int:
    """Count the GPUs this build of FAISS can use: 0 for faiss-cpu."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def _train_projection(index: faiss.Index, vectors: Vectors) -> None:
    """Train a PCA that comes first, and keep it from centring: that changes inner products.

    FAISS would subtract the mean from items and queries alike, which takes from each item's score
    a part of its own. Without it a PCA still keeps the directions in which items differ.
    """
    while not isinstance(index, faiss.IndexPreTransform):
        inner = getattr(index, "base_index", None) or getattr(index, "index", None)
        if inner is None:
            return
        index = faiss.downcast_index(inner)
    first = faiss.downcast_VectorTransform(index.chain.at(0))  # type: ignore[attr-defined]
    if isinstance(first, faiss.PCAMatrix):
        first.train(vectors)
        first.have_bias = False


def _brief(error: RuntimeError) -> str:
    """Keep FAISS's reason and drop its C++ location."""
    return str(error).rpartition(": ")[2].strip()[:160]
