"""Training of FAISS indexes: the least number of vectors, no polysemous codes, shared parts."""

import faiss
import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes import create_index
from tusou.indexes.faiss_index import FaissIndex
from tusou.indexes.faiss_training import SharedTraining, train
from tusou.indexes.specs import FaissSpec

DIM = 64

# Factory, and the least number of vectors on which FAISS trains it.
FACTORIES = [
    ("Flat", 1),
    ("HNSW8", 1),
    ("SQ8", 1),
    ("IVF32,Flat", 32),
    ("IVF16_HNSW8,Flat", 16),
    ("PQ8x4fs,RFlat", 16),
    ("PQ8", 256),
    ("IVF16,PQ8np", 256),
    ("OPQ8,PQ8x4fs", 256),
    ("PCAR32,Flat", 32),
    ("PCAR16,IVF8,PQ8x4fs,RFlat", 16),
    ("HNSW8_PQ8", 256),
]


def vectors(count: int) -> Vectors:
    return np.random.default_rng(1).normal(size=(count, DIM)).astype(np.float32)


def fill(factory: str, count: int) -> None:
    index = create_index(FaissSpec(factory), DIM)
    index.fill(vectors(count))


@pytest.mark.parametrize(("factory", "least"), FACTORIES)
def test_an_index_knows_how_many_vectors_it_needs(factory: str, least: int) -> None:
    assert create_index(FaissSpec(factory), DIM).min_items == least
    fill(factory, least)
    if least > 1:
        with pytest.raises(InvalidRequest, match="cannot train"):
            fill(factory, least - 1)


def test_polysemous_codes_are_not_trained_and_the_codes_are_those_without_them() -> None:
    stored = vectors(600)
    codes = []
    for factory in ("IVF4,PQ8", "IVF4,PQ8np"):
        index = create_index(FaissSpec(factory, "nprobe=4"), DIM)
        index.fill(stored)
        inner = faiss.downcast_index(index._index)  # type: ignore[attr-defined]
        assert not inner.do_polysemous_training
        codes.append(index.search(stored[:50], 10))
    np.testing.assert_array_equal(codes[0].ids, codes[1].ids)
    np.testing.assert_array_equal(codes[0].scores, codes[1].scores)


@pytest.mark.parametrize("factory", ["IVF16,PQ8", "PQ8", "PQ8,RFlat"])
def test_training_on_few_vectors_writes_no_warnings(
    factory: str, capfd: pytest.CaptureFixture[str]
) -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 16), np.float32)
    train(faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT), vectors)
    assert capfd.readouterr().err == ""


def test_an_index_that_shares_its_training_is_the_one_trained_alone() -> None:
    stored, shared = vectors(2000), SharedTraining()
    for factory in (
        "PCAR32,IVF32,PQ8x4fs,RFlat",
        "PCAR32,IVF32,PQ16x4fs,RFlat",
        "PCAR32,IVF16,PQ16x4fs,RFlat",
        "PCAR16,IVF32,Flat",
        "IVF32,PQ8x4fs,RFlat",
        "OPQ8,IVF32,PQ8x4fs,RFlat",
    ):
        sharing, alone = (FaissIndex(FaissSpec(factory), DIM) for _ in range(2))
        sharing.fill(stored, shared)
        alone.fill(stored)
        assert serialized(sharing) == serialized(alone)


def test_a_shared_projection_and_shared_lists_are_not_trained_again() -> None:
    shared, other = SharedTraining(), vectors(3000)[1000:]
    FaissIndex(FaissSpec("PCAR32,IVF32,PQ8x4fs"), DIM).fill(vectors(2000), shared)
    index = FaissIndex(FaissSpec("PCAR32,IVF32,PQ16x4fs"), DIM)
    index.fill(other, shared)
    first = FaissIndex(FaissSpec("PCAR32,IVF32,Flat"), DIM)
    first.fill(vectors(2000))
    np.testing.assert_array_equal(centres(index), centres(first))


def centres(index: FaissIndex) -> Vectors:
    """Return the lists' centres in the space of the vectors before the projection."""
    projected = faiss.downcast_index(index._index)
    lists = faiss.downcast_index(projected.index)
    inner: Vectors = lists.quantizer.reconstruct_n(0, lists.nlist)
    return faiss.downcast_VectorTransform(projected.chain.at(0)).reverse_transform(inner)


def serialized(index: FaissIndex) -> bytes:
    data: bytes = faiss.serialize_index(index._index).tobytes()
    return data
