"""FAISS indexes, described by a factory string, on CPU or GPU."""

import math
import re
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.core.files import create_file
from tusou.indexes.base import best_first
from tusou.indexes.faiss_training import min_items, train
from tusou.indexes.specs import FaissSpec
from tusou.indexes.subset_search import faiss_threads, search_subset

_REFINED = re.compile(r"(RFlat|Refine\(Flat\))$")
_CPU_ONLY = re.compile(r"fs|HNSW|RFlat|Refine")  # FAISS has no GPU versions of these
# A refined index compares a multiple of k candidates exactly. Its recall is measured at this k, so
# a smaller k is searched at this one.
_MIN_REFINED_K = 10
# The codes that one thread compares in a millisecond or two.
_SHORT_SEARCH = 2_000_000
# The largest k of FAISS's GPU indexes.
_GPU_MAX_K = 2048


class FaissIndex:
    """An index described by a FAISS factory string, always over inner product."""

    def __init__(self, spec: FaissSpec, dim: int) -> None:
        try:
            index = faiss.index_factory(dim, f"IDMap,{spec.factory}", faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise InvalidRequest(
                f"{spec.factory!r} is not a FAISS factory for {dim} dimensions: {_reason(error)}"
            ) from None
        self._open(spec, index, "cpu")

    def _open(
        self, spec: FaissSpec, index: faiss.Index, device: str, vectors: VectorFile | None = None
    ) -> None:
        self.dim: int = index.d
        self._factory = spec.factory
        id_map: Any = index.id_map  # type: ignore[attr-defined]
        self.has_row_keys = bool((faiss.vector_to_array(id_map) == np.arange(index.ntotal)).all())
        self._min_k = _MIN_REFINED_K if _REFINED.search(spec.factory) else 1
        self._max_k = sys.maxsize
        self._scans_codes = "x4fs" in spec.factory
        self._lock: AbstractContextManager[object] = nullcontext()
        if device.startswith("cuda") and not _CPU_ONLY.search(spec.factory):
            index = self._to_gpu(index, device)
        self._index = index
        self._vectors = vectors
        self.tune(spec.tuning)

    def _to_gpu(self, index: faiss.Index, device: str) -> faiss.Index:
        # GPU indexes are not safe for concurrent searches.
        self._resources = faiss.StandardGpuResources()
        self._lock = threading.Lock()
        self._max_k = _GPU_MAX_K
        number = int(device.partition(":")[2] or 0)
        return faiss.index_cpu_to_gpu(self._resources, number, index)

    def tune(self, tuning: str) -> None:
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
            try:
                train(self._index, vectors)
            except RuntimeError as error:
                raise InvalidRequest(
                    f"FAISS cannot train {self._factory!r} on {len(vectors):,} vectors: "
                    f"{_reason(error)}; choose another --index"
                ) from None
        self._index.add_with_ids(vectors, ids)

    @property
    def min_items(self) -> int:
        """The least number of vectors on which the index can be trained."""
        return min_items(self._index)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query; on a GPU at most 2,048, the rest is padding."""
        with self._lock, faiss_threads(1 if self._is_short(queries) else 0):
            depth = max(min(k, self._max_k), self._min_k)
            scores, ids = self._index.search(queries, depth)
        if depth >= k and (scores[:, :-1] > scores[:, 1:]).all() and (ids[:, -1] >= 0).all():
            return Neighbors(ids[:, :k], scores[:, :k])
        scores[ids < 0] = -np.inf
        return best_first(ids, scores, k)  # FAISS returns ties in any order

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        """Return the k best per query among row keys; ValueError without the stored vectors."""
        vectors: Vectors | VectorFile | None = _held_vectors(self._index)
        vectors = self._vectors if vectors is None else vectors
        if vectors is None:
            raise ValueError("this index was loaded without the stored vectors")
        return search_subset(vectors, queries, k, keys)

    def _is_short(self, queries: Vectors) -> bool:
        """Return whether a search ends before a second thread could help.

        On a busy processor the calling thread waits until the second one is scheduled: a search of
        half a millisecond then takes forty.
        """
        work = len(queries) * len(self) if self._scans_codes else math.inf
        return len(queries) == 1 or work <= _SHORT_SEARCH

    def save(self, path: Path) -> None:
        """Write the index; an OSError names the file and the reason, such as a full disk."""
        with create_file(path) as file:
            refusals: list[OSError] = []

            def write(data: bytes) -> None:
                try:
                    file.write(data)
                except OSError as error:  # FAISS would raise its own error instead
                    refusals.append(error)
                    raise

            try:
                writer = faiss.PyCallbackIOWriter(write)  # type: ignore[attr-defined]
                faiss.write_index(self._index, writer)
            except RuntimeError:
                if refusals:
                    raise refusals[0] from None
                raise

    @classmethod
    def load(
        cls,
        spec: FaissSpec,
        path: Path,
        device: str = "cpu",
        vectors: VectorFile | None = None,
    ) -> Self:
        """Return the index that `save` wrote; it goes to a GPU if faiss-gpu is installed.

        Raises CorruptBundle for any other file, and for an index of another kind.
        """
        index = cls.__new__(cls)
        try:
            loaded = faiss.read_index(str(path))
        except (RuntimeError, MemoryError) as error:
            raise CorruptBundle(f"{path} is not a FAISS index: {_reason(error)}") from None
        _check_loaded(loaded, path)
        try:
            index._open(spec, loaded, usable_device(device), vectors)  # noqa: SLF001 - our own constructor
        except InvalidRequest as error:
            raise CorruptBundle(f"{path} is not what the manifest says: {error}") from None
        return index


def _check_loaded(index: faiss.Index, path: Path) -> None:
    """Raise CorruptBundle unless an index is one of ours: inner products, ids of row keys."""
    if (
        not isinstance(index, faiss.IndexIDMap)
        or index.metric_type != faiss.METRIC_INNER_PRODUCT
        or not index.is_trained
        or index.index.ntotal != index.ntotal
        or index.index.d != index.d
        or index.id_map.size() != index.ntotal
    ):
        raise CorruptBundle(f"{path} holds another kind of index than Tusou writes; index again")


def _held_vectors(index: faiss.Index) -> Vectors | None:
    """Return a view of the full vectors that an index in memory holds in row key order, if any."""
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index
    if isinstance(inner, faiss.IndexRefine):
        inner = faiss.downcast_index(inner.refine_index)
    if not isinstance(inner, faiss.IndexFlat):
        return None
    view: Vectors = faiss.rev_swig_ptr(inner.get_xb(), inner.ntotal * inner.d)
    return view.reshape(inner.ntotal, inner.d)


def usable_device(device: str) -> str:
    """Return the device of an index when the encoder is requested on `device`.

    It is a GPU only if this FAISS can use one.
    """
    usable = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()
    if device == "cpu" or not usable:
        return "cpu"
    return "cuda" if device == "auto" else device


def _reason(error: Exception) -> str:
    """Return FAISS's reason without the location in its C++ source."""
    return str(error).rpartition(": ")[2].strip()[:160]
