"""A remembered vector is the one that the model gave; the memory is bounded."""

from collections.abc import Sequence

import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.encoders import QueryCache, Tokens


class Counting:
    """Gives every text a vector that no other call gives, as rounding may."""

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


def ask(memory: QueryCache, encoder: Counting, *texts: str) -> tuple[list[float], int]:
    vectors, fresh = memory.encode(encoder.prepare(texts))
    return vectors[:, 1].tolist(), len(texts) - len(fresh)


def test_only_new_texts_are_encoded_and_order_is_kept(encoder: Counting) -> None:
    memory = QueryCache(encoder, 10)
    assert ask(memory, encoder, "a", "b") == ([1, 1], 0)
    assert ask(memory, encoder, "c", "b", "d", "a") == ([2, 1, 2, 1], 2)
    assert encoder.calls == [[97, 98], [99, 100]]


def test_the_width_of_a_batch_is_no_part_of_a_text(encoder: Counting) -> None:
    memory = QueryCache(encoder, 10)
    ask(memory, encoder, "a", "bcdef")
    assert ask(memory, encoder, "a") == ([1], 1)
    assert ask(memory, encoder, "aa") == ([2], 0)


def test_the_longest_unused_is_forgotten(encoder: Counting) -> None:
    memory = QueryCache(encoder, 2)
    ask(memory, encoder, "a", "b")
    ask(memory, encoder, "a")
    ask(memory, encoder, "c")
    assert (len(memory), ask(memory, encoder, "a", "c")) == (2, ([1, 2], 2))
    assert ask(memory, encoder, "b") == ([3], 0)


def test_a_batch_larger_than_the_memory_is_answered_whole(encoder: Counting) -> None:
    memory = QueryCache(encoder, 2)
    assert ask(memory, encoder, "a", "b", "c", "a") == ([1, 1, 1, 1], 0)
    assert len(memory) == 2


def test_nothing_is_remembered_without_capacity(encoder: Counting) -> None:
    memory = QueryCache(encoder, 0)
    assert ask(memory, encoder, "a") == ([1], 0)
    assert ask(memory, encoder, "a") == ([2], 0)
    assert len(memory) == 0


@pytest.mark.parametrize("capacity", [0, 10])
def test_a_vector_that_is_not_finite_is_an_error_and_forgotten(
    encoder: Counting, capacity: int
) -> None:
    memory = QueryCache(encoder, capacity)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="not finite"):
            ask(memory, encoder, "!", "a")
    assert len(memory) == 0
