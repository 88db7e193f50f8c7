"""Training of FAISS indexes: how many vectors it takes, and how it differs from FAISS's own."""

import math
from collections.abc import Hashable
from typing import Any

import faiss
import numpy as np

from tusou.core.arrays import Vectors

# Training uses all vectors up to the square of twice this number, and a falling share beyond it.
_TRAINING_ROOT = 256
# FAISS's default is 25. Training takes most of a build; the recall that is measured includes this.
_LIST_ITERATIONS = 10
_OPQ_CENTROIDS = 256  # of each part, in FAISS's own training of a rotation


class SharedTraining:
    """Projections and centres of lists that were trained on the same vectors.

    Indexes that differ only in their codes share them: they take most of the time of a training.
    Training is deterministic, so an index is the same with and without them.
    """

    def __init__(self) -> None:
        self._projections: dict[Hashable, faiss.PCAMatrix] = {}
        self._centres: dict[Hashable, Vectors] = {}

    def give(self, index: faiss.Index) -> None:
        """Put what is known into an empty index."""
        projection, lists = _projection(index), _lists(index)
        known = self._projections.get(_kind(projection))
        if projection is not None and known is not None:
            projection.copy_from(known)
            projection.have_bias = False
        centres = self._centres.get((_kind(projection), _kind(lists)))
        if lists is not None and centres is not None:
            lists.quantizer.add(centres)

    def take(self, index: faiss.Index) -> None:
        """Keep what a trained index has."""
        projection, lists = _projection(index), _lists(index)
        if projection is not None:
            matrix = faiss.PCAMatrix(projection.d_in, projection.d_out)
            matrix.copy_from(projection)
            self._projections[_kind(projection)] = matrix
        if lists is not None:
            centres = lists.quantizer.reconstruct_n(0, lists.nlist)
            self._centres[_kind(projection), _kind(lists)] = centres


def train(index: faiss.Index, vectors: Vectors, shared: SharedTraining | None = None) -> None:
    """Train an index on a sample of the vectors, (n, d); RuntimeError if FAISS cannot.

    The vectors may be mapped from a file: only the sample is read. `shared` is what other indexes
    of the same vectors have learnt.
    """
    if shared is not None:
        shared.give(index)
    # About 64 vectors per list, with the number of lists that FAISS advises: 4 sqrt(n).
    sample = np.ascontiguousarray(vectors[:: _sample_step(len(vectors))])
    for part in _parts(index):
        if hasattr(part, "do_polysemous_training"):  # minutes, for a search that is not used
            part.do_polysemous_training = False
        for clustering in filter(None, (getattr(part, "cp", None), _product_clustering(part))):
            clustering.min_points_per_centroid = 1  # the measured recall tells what it costs
        if isinstance(part, faiss.IndexIVF):
            part.cp.niter = _LIST_ITERATIONS
    _train_projection(index, sample)
    index.train(sample)
    if shared is not None:
        shared.take(index)


def _product_clustering(index: faiss.Index) -> faiss.ClusteringParameters | None:
    quantizer = getattr(index, "pq", None)
    return None if quantizer is None else quantizer.cp


def min_items(index: faiss.Index) -> int:
    """Return the least number of vectors on which `train` can train an index."""
    needed = 1
    for part in _parts(index):
        quantizer = getattr(part, "pq", None)
        lists = part.nlist if isinstance(part, faiss.IndexIVF) else 1
        needed = max(needed, lists, quantizer.ksub if quantizer is not None else 1)
        if isinstance(part, faiss.IndexPreTransform):
            needed = max(needed, *map(_transform_needs, _transforms(part)))
    return next(count for count in range(needed, 2 * needed + 1) if _sample_size(count) >= needed)


def _parts(index: faiss.Index) -> list[faiss.Index]:
    """Return an index and all indexes inside it."""
    parts = [faiss.downcast_index(index)]
    for part in parts:
        inner = (
            getattr(part, name, None) for name in ("index", "base_index", "storage", "quantizer")
        )
        parts += [faiss.downcast_index(each) for each in inner if isinstance(each, faiss.Index)]
    return parts


def _transforms(index: faiss.IndexPreTransform) -> list[faiss.VectorTransform]:
    chain: Any = index.chain
    return [faiss.downcast_VectorTransform(chain.at(n)) for n in range(chain.size())]


def _transform_needs(transform: faiss.VectorTransform) -> int:
    if isinstance(transform, faiss.OPQMatrix):
        return _OPQ_CENTROIDS
    return int(transform.d_out) if isinstance(transform, faiss.PCAMatrix) else 1


def _train_projection(index: faiss.Index, vectors: Vectors) -> None:
    """Train a leading PCA without centring, which would change inner products.

    FAISS subtracts the mean from items and queries, which changes the score of each item by
    another amount. A PCA without it still keeps the directions in which items differ.
    """
    projection = _projection(index)
    if projection is not None and not projection.is_trained:
        projection.train(vectors)
        projection.have_bias = False


def _projection(index: faiss.Index) -> faiss.PCAMatrix | None:
    """Return the PCA that an index begins with."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return None
    first = _transforms(index)[0]
    return first if isinstance(first, faiss.PCAMatrix) else None


def _lists(index: faiss.Index) -> faiss.IndexIVF | None:
    """Return the lists of vectors, or of vectors after a PCA, if their centres are vectors too."""
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        if _projection(inner) is None or len(_transforms(inner)) > 1:
            return None
        inner = faiss.downcast_index(inner.index)
    if not isinstance(inner, faiss.IndexIVF):
        return None
    return inner if isinstance(faiss.downcast_index(inner.quantizer), faiss.IndexFlat) else None


def _kind(part: faiss.PCAMatrix | faiss.IndexIVF | None) -> Hashable:
    """Return what decides the training of a part, besides the vectors."""
    if isinstance(part, faiss.PCAMatrix):
        return part.d_in, part.d_out, part.random_rotation, part.eigen_power
    return part and (part.d, part.nlist)


def _sample_step(count: int) -> int:
    return max(1, math.isqrt(count) // _TRAINING_ROOT)


def _sample_size(count: int) -> int:
    return -(-count // _sample_step(count))
