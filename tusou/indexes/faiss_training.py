"""Training of FAISS indexes: how many vectors it takes, and how it differs from FAISS's own."""

import math
from typing import Any

import faiss
import numpy as np

from tusou.core.arrays import Vectors

# Training uses all vectors up to the square of twice this number, and a falling share beyond it.
_TRAINING_ROOT = 256
# FAISS's default is 25. Training takes most of a build; the recall that is measured includes this.
_LIST_ITERATIONS = 10
_OPQ_CENTROIDS = 256  # of each part, in FAISS's own training of a rotation


def train(index: faiss.Index, vectors: Vectors) -> None:
    """Train an index on a sample of the vectors, (n, d); RuntimeError if FAISS cannot.

    The vectors may be mapped from a file: only the sample is read.
    """
    # About 64 vectors per list, with the number of lists that FAISS advises: 4 sqrt(n).
    sample = np.ascontiguousarray(vectors[:: _sample_step(len(vectors))])
    for part in _parts(index):
        if hasattr(part, "do_polysemous_training"):  # minutes, for a search that is not used
            part.do_polysemous_training = False
        for clustering in filter(None, (getattr(part, "cp", None), _product_clustering(part))):
            clustering.min_points_per_centroid = 1  # the measured recall tells what it costs
        if isinstance(part, faiss.IndexIVF):
            part.cp.niter = _LIST_ITERATIONS
        if isinstance(part, faiss.IndexPreTransform):
            _train_projection(part, sample)
    index.train(sample)


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


def _train_projection(index: faiss.IndexPreTransform, vectors: Vectors) -> None:
    """Train a leading PCA without centring, which would change inner products.

    FAISS subtracts the mean from items and queries, which changes the score of each item by
    another amount. A PCA without it still keeps the directions in which items differ.
    """
    first = _transforms(index)[0]
    if isinstance(first, faiss.PCAMatrix):
        first.train(vectors)
        first.have_bias = False


def _sample_step(count: int) -> int:
    return max(1, math.isqrt(count) // _TRAINING_ROOT)


def _sample_size(count: int) -> int:
    return -(-count // _sample_step(count))
