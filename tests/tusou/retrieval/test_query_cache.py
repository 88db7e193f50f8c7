"""QueryCache: new texts, cached vectors, eviction and errors."""

from collections.abc import Sequence

import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.encoders import Tokens
from tusou.retrieval.query_cache import QueryCache


class Counting:
    """Returns a different vector for a text in every call, as rounding may."""

    dim, precision = 3, "fp32"

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def prepare(self, texts: Sequence[str]) -> Tokens:
        width = max(map(len, texts))
        rows = [[ord(letter) for letter in text.ljust(width, "\0")] for text in texts]
        return Tokens(np.array(rows, np.int64), (False,) * len(texts))

    def encode(self, tokens: Tokens) -> Vectors:
        self.calls.append(tokens.ids[:, 0].tolist())
        first = tokens.ids[:, :1].astype(np.float32)
        vectors: Vectors = np.hstack([first, first * 0 + len(self.calls), first * 0])
        vectors[tokens.ids[:, 0] == ord("!")] = np.nan
        return vectors


@pytest.fixture
def encoder() -> Counting:
    return Counting()


def encode(cache: QueryCache, encoder: Counting, *texts: str) -> tuple[list[float], int]:
    vectors, cache_hits = cache.encode(encoder.prepare(texts))
    return vectors[:, 1].tolist(), cache_hits


def test_only_new_texts_are_encoded_and_order_is_kept(encoder: Counting) -> None:
    cache = QueryCache(encoder, 10)
    assert encode(cache, encoder, "a", "b") == ([1, 1], 0)
    assert encode(cache, encoder, "c", "b", "d", "a") == ([2, 1, 2, 1], 2)
    assert encoder.calls == [[97, 98], [99, 100]]


def test_the_padding_of_a_batch_does_not_change_the_key(encoder: Counting) -> None:
    cache = QueryCache(encoder, 10)
    encode(cache, encoder, "a", "bcdef")
    assert encode(cache, encoder, "a") == ([1], 1)
    assert encode(cache, encoder, "aa") == ([2], 0)


def test_the_least_recently_used_is_evicted(encoder: Counting) -> None:
    cache = QueryCache(encoder, 2)
    encode(cache, encoder, "a", "b")
    encode(cache, encoder, "a")
    encode(cache, encoder, "c")
    assert (len(cache), encode(cache, encoder, "a", "c")) == (2, ([1, 2], 2))
    assert encode(cache, encoder, "b") == ([3], 0)


def test_a_batch_larger_than_the_cache_is_encoded_whole(encoder: Counting) -> None:
    cache = QueryCache(encoder, 2)
    assert encode(cache, encoder, "a", "b", "c", "a") == ([1, 1, 1, 1], 0)
    assert len(cache) == 2


def test_nothing_is_cached_without_capacity(encoder: Counting) -> None:
    cache = QueryCache(encoder, 0)
    assert encode(cache, encoder, "a") == ([1], 0)
    assert encode(cache, encoder, "a") == ([2], 0)
    assert len(cache) == 0


@pytest.mark.parametrize("capacity", [0, 10])
def test_a_vector_that_is_not_finite_is_an_error_and_not_cached(
    encoder: Counting, capacity: int
) -> None:
    cache = QueryCache(encoder, capacity)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="not finite"):
            encode(cache, encoder, "!", "a")
    assert len(cache) == 0
