"""Training of FAISS indexes: the least number of vectors, and no minutes of polysemous codes."""

import faiss
import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes import create_index
from tusou.indexes.faiss_training import train
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
