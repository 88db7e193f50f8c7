"""FAISS indexes, described by a factory string, on CPU or GPU."""

import math
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from tusou.bundle.refinement import split_factory
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.core.files import create_file
from tusou.indexes.base import Mask, best_first
from tusou.indexes.faiss_training import SharedTraining, min_items, train
from tusou.indexes.refined_search import HalfVectors, VectorRows, rank_candidates
from tusou.indexes.specs import FaissSpec
from tusou.indexes.subset_search import faiss_threads, search_subset

_FLAT = "Flat"
_CPU_ONLY = re.compile(r"fs|HNSW|Refine")  # FAISS has no GPU versions of these
_K_FACTOR = re.compile(r"(?:^|,)k_factor_rf=(\d+)(?=,|$)")
# A refined index compares a multiple of k candidates exactly. Its recall is measured at this k, so
# a smaller k is searched at this one.
_MIN_REFINED_K = 10
# The codes that one thread compares in a millisecond or two.
_SHORT_SEARCH = 2_000_000
# The largest k of FAISS's GPU indexes.
_GPU_MAX_K = 2048
# Vectors added at once; bounds the memory of a pool that is mapped from a file.
_ADDED = 1 << 16


class FaissIndex:
    """An index described by a FAISS factory string, always over inner product.

    FAISS holds the codes of a refined index; what it finds is compared again with stored vectors.
    """

    def __init__(self, spec: FaissSpec, dim: int) -> None:
        codes = split_factory(spec.factory).codes
        try:
            index = faiss.index_factory(dim, codes, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise InvalidRequest(
                f"{spec.factory!r} is not a FAISS factory for {dim} dimensions: {_reason(error)}"
            ) from None
        self._open(spec, index, "cpu")

    def _open(self, spec: FaissSpec, index: faiss.Index, device: str) -> None:
        self.dim: int = index.d
        self._factory, self._refinement = spec.factory, split_factory(spec.factory).refinement
        self._min_k = _MIN_REFINED_K if self._refinement in {"memory", "file"} else 1
        self._max_k = sys.maxsize
        self._scans_codes = "x4fs" in spec.factory
        self._lock: AbstractContextManager[object] = nullcontext()
        self._vectors: Vectors | VectorFile | None = None  # in full precision, by row key
        self._compared: Vectors | VectorRows | None = None  # with candidates; None if not refined
        if (
            device.startswith("cuda")
            and not self._refinement
            and not _CPU_ONLY.search(self._factory)
        ):
            index = self._to_gpu(index, device)
        self._index = index
        self.tune(spec.tuning)

    def _to_gpu(self, index: faiss.Index, device: str) -> faiss.Index:
        # GPU indexes are not safe for concurrent searches.
        self._resources = faiss.StandardGpuResources()
        self._lock = threading.Lock()
        self._max_k = _GPU_MAX_K
        number = int(device.partition(":")[2] or 0)
        return faiss.index_cpu_to_gpu(self._resources, number, index)

    def tune(self, tuning: str) -> None:
        factor = _K_FACTOR.search(tuning) if self._refinement else None
        self._k_factor = int(factor[1]) if factor else 1
        if factor:
            tuning = (tuning[: factor.start()] + tuning[factor.end() :]).lstrip(",")
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

    def fill(self, vectors: Vectors, shared: SharedTraining | None = None) -> None:
        """Train the index if it needs training, and store all vectors.

        `shared` is the training of other indexes of the same vectors.
        """
        if not self._index.is_trained:
            try:
                train(self._index, vectors, shared)
            except RuntimeError as error:
                raise InvalidRequest(
                    f"FAISS cannot train {self._factory!r} on {len(vectors):,} vectors: "
                    f"{_reason(error)}; choose another --index"
                ) from None
        for start in range(0, len(vectors), _ADDED):
            self._index.add(np.ascontiguousarray(vectors[start : start + _ADDED]))
        self._vectors = vectors
        if self._refinement:
            self._compared = HalfVectors(vectors) if self._refinement == "half" else vectors

    @property
    def min_items(self) -> int:
        """The least number of vectors on which the index can be trained."""
        return min_items(self._index)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query; on a GPU at most 2,048, the rest is padding."""
        with self._lock, faiss_threads(1 if self._is_short(queries) else 0):
            depth = max(min(k, self._max_k), self._min_k)
            if self._compared is not None:
                candidates = self._index.search(queries, depth * self._k_factor)[1]
                return rank_candidates(self._compared, queries, candidates, k)
            scores, ids = self._index.search(queries, depth)
        if depth >= k and (scores[:, :-1] > scores[:, 1:]).all() and (ids[:, -1] >= 0).all():
            return Neighbors(ids[:, :k], scores[:, :k])
        scores[ids < 0] = -np.inf
        return best_first(ids, scores, k)  # FAISS returns ties in any order

    @property
    def compares_candidates(self) -> bool:
        return self._compared is not None

    def search_selected(
        self, queries: Vectors, counts: Sequence[int], width: int, masks: Sequence[Mask]
    ) -> list[Neighbors | None]:
        with self._lock, faiss_threads(1 if self._is_short(queries) else 0):
            depth = max(min(width, self._max_k), self._min_k)
            candidates = self._index.search(queries, depth * self._k_factor)[1]
            return [
                self._best_selected(queries[row : row + 1], keys[keys >= 0], counts[row], mask)
                for row, (keys, mask) in enumerate(zip(candidates, masks, strict=True))
            ]

    def _best_selected(
        self, query: Vectors, candidates: Ids, count: int, mask: Mask
    ) -> Neighbors | None:
        """Rank the selected candidates of a query (1, d), if they are enough."""
        assert self._compared is not None
        candidates = candidates[mask[candidates]]
        if len(candidates) < max(count, self._min_k) * self._k_factor:
            return None
        best = rank_candidates(self._compared, query, candidates[np.newaxis], len(candidates))
        # Equal vectors have equal codes: those that were not found tie with the last one alone.
        return best if best.scores[0, count - 1] > best.scores[0, -1] else None

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        vectors = np.empty((0, self.dim), np.float32) if self._vectors is None else self._vectors
        return search_subset(vectors, queries, k, keys)

    def _is_short(self, queries: Vectors) -> bool:
        """Return whether a search ends before a second thread could help.

        On a busy processor the calling thread waits until the second one is scheduled: a search of
        half a millisecond then takes forty.
        """
        work = len(queries) * len(self) if self._scans_codes else math.inf
        return len(queries) == 1 or work <= _SHORT_SEARCH

    def save(self, path: Path) -> None:
        """Write the index without vectors that are stored in full beside it.

        An OSError names the file and the reason, such as a full disk.
        """
        index = faiss.IndexFlatIP(self.dim) if self._factory == _FLAT else self._index
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
                faiss.write_index(index, writer)
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

        `vectors` may be absent only for an index that holds its own. Raises CorruptBundle for any
        other file, and for an index of another kind.
        """
        index = cls.__new__(cls)
        try:
            loaded = faiss.read_index(str(path))
        except (RuntimeError, MemoryError) as error:
            raise CorruptBundle(f"{path} is not a FAISS index: {_reason(error)}") from None
        _check_kind(loaded, spec, path)
        if spec.factory == _FLAT and vectors is not None and vectors.dim == loaded.d:
            for block in vectors.blocks():
                loaded.add(block)
        try:
            index._open(spec, loaded, usable_device(device))  # noqa: SLF001 - our own constructor
        except InvalidRequest as error:
            raise CorruptBundle(f"{path} is not what the manifest says: {error}") from None
        index._attach(vectors)  # noqa: SLF001
        return index

    def _attach(self, stored: VectorFile | None) -> None:
        """Take the stored vectors, or those that FAISS holds in memory."""
        held = _held_vectors(self._index)
        self._vectors = stored if held is None else held
        if not self._refinement:
            return
        if stored is None:
            raise ValueError(f"{self._factory} is loaded with the stored vectors")
        if self._refinement == "half":
            self._compared = HalfVectors(stored.read("<f2"))
        elif self._refinement == "memory":
            self._vectors = self._compared = stored.read()
        else:
            self._compared = stored


def _check_kind(index: faiss.Index, spec: FaissSpec, path: Path) -> None:
    """Raise CorruptBundle unless an index compares inner products and has ids of row keys."""
    is_flat = isinstance(index, faiss.IndexFlat) and not index.ntotal
    if (
        index.metric_type != faiss.METRIC_INNER_PRODUCT
        or not index.is_trained
        or not (is_flat if spec.factory == _FLAT else _has_row_keys(index))
    ):
        raise CorruptBundle(f"{path} holds another kind of index than Tusou writes; index again")


def _has_row_keys(index: faiss.Index) -> bool:
    """Return whether the ids of an index are the positions of its vectors."""
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    if not isinstance(index, faiss.IndexIVF):
        return not isinstance(index, faiss.IndexIDMap)
    lists: Any = index.invlists
    known, count = np.zeros(index.ntotal, np.bool_), 0
    for number in filter(lists.list_size, range(lists.nlist)):
        ids = faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number))
        if not ((ids >= 0) & (ids < index.ntotal)).all():
            return False
        known[ids] = True
        count += len(ids)
    return count == index.ntotal and bool(known.all())


def _held_vectors(index: faiss.Index) -> Vectors | None:
    """Return a view of the full vectors that an exact index in memory holds."""
    if not isinstance(index, faiss.IndexFlat):
        return None
    view: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return view.reshape(index.ntotal, index.d)


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
