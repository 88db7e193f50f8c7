"""FAISS behind the VectorIndex promise: described by a factory string, on CPU or GPU."""

import math
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Self

import faiss
import numpy as np

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.indexes.base import best_first
from tusou.indexes.specs import FaissSpec

# Codes or shadows stored instead of vectors, unless the factory ends by re-scoring on the vectors.
_QUANTISED = re.compile(r"PQ|SQ|LSH|RQ|LSQ|RaBitQ|ZnLattice|ITQ|PCA|RR\d")
_REFINED = re.compile(r"(RFlat|Refine\(Flat\))$")
_CPU_ONLY = re.compile(r"fs|HNSW|RFlat|Refine")  # no GPU index of FAISS is made from these
# A refined index compares a multiple of k candidates exactly; what it finds for fewer items than
# its recall was measured at is then no worse.
_FEWEST = 10
# Codes compared by one thread in a millisecond or two.
_BRIEF = 2_000_000
# An index is trained on every vector up to the square of twice this, then on ever fewer of them.
_TRAINED_ON = 256

# What FAISS's selection on a GPU can hold.
_GPU_DEEPEST = 2048


class FaissIndex:
    """An index described by a FAISS factory string, always over inner product."""

    def __init__(self, spec: FaissSpec, dim: int) -> None:
        try:
            index = faiss.index_factory(dim, f"IDMap,{spec.factory}", faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise InvalidRequest(
                f"{spec.factory!r} is no FAISS factory for {dim} dimensions: {_reason(error)}"
            ) from None
        self._open(spec, index, "cpu")

    def _open(self, spec: FaissSpec, index: faiss.Index, device: str) -> None:
        self.exact_scores = bool(_REFINED.search(spec.factory)) or not _QUANTISED.search(
            spec.factory
        )
        self.dim: int = index.d
        self._fewest = _FEWEST if _REFINED.search(spec.factory) else 1
        self._deepest = sys.maxsize
        self._scans_codes = "x4fs" in spec.factory
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
                f"{tuning!r} does not tune this FAISS index: {_reason(error)}"
            ) from None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Store vectors under new ids; the first vectors train an index that needs training."""
        if not self._index.is_trained:
            # Some 64 for each list, with as many lists as FAISS advises: 4 x the root of all.
            some = vectors[:: max(1, math.isqrt(len(vectors)) // _TRAINED_ON)]
            _train_projection(self._index, some)
            self._index.train(some)
        self._index.add_with_ids(vectors, ids)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query; on a GPU padding begins after 2,048 at the latest."""
        with self._lock, _threads(1 if self._brief(queries) else 0):
            deep = max(min(k, self._deepest), self._fewest)
            scores, ids = self._index.search(queries, deep)
        if (missing := k - ids.shape[1]) > 0:
            ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
            scores = np.pad(scores, ((0, 0), (0, missing)))
        if (ids[:, -1] < 0).any():
            scores[ids == -1] = -np.inf
        found = best_first(ids, scores)
        return Neighbors(found.ids[:, :k], found.scores[:, :k])

    def _brief(self, queries: Vectors) -> bool:
        """Tell whether a search is over before a second thread could help.

        Where the processor has other work as well, the thread that asks waits for the other to be
        scheduled: a search of half a millisecond then takes forty.
        """
        work = len(queries) * len(self) if self._scans_codes else math.inf
        return len(queries) == 1 or work <= _BRIEF

    def save(self, path: Path) -> None:
        """Write the index to one file in FAISS's format."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, spec: FaissSpec, path: Path, device: str = "cpu") -> Self:
        """Read what `save` wrote; it goes to a GPU where faiss-gpu is installed."""
        index = cls.__new__(cls)
        try:
            loaded = faiss.read_index(str(path))
        except RuntimeError as error:
            raise CorruptBundle(f"{path.name} is not a FAISS index: {_reason(error)}") from None
        index._open(spec, loaded, usable_device(device))  # noqa: SLF001 - our own constructor
        return index


def usable_device(device: str) -> str:
    """Where an index goes when the encoder is put on `device`: a GPU only if FAISS can use it."""
    usable = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()
    if device == "cpu" or not usable:
        return "cpu"
    return "cuda" if device == "auto" else device


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have FAISS compute with so many threads, as far as the calling thread asks; 0: as it is."""
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or usual)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


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


def _reason(error: RuntimeError) -> str:
    """Keep FAISS's reason and drop its C++ location."""
    return str(error).rpartition(": ")[2].strip()[:160]
