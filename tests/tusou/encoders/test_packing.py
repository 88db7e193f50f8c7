"""Packing of texts into one row, and filler tokens that limit its possible lengths."""

import numpy as np
import pytest

from tusou.encoders.packing import pack


def ids_of(*lengths: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return different token ids for texts of these lengths."""
    ids = np.zeros((len(lengths), 52), np.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = 100 * row + np.arange(1, length + 1)
    return ids


def test_a_short_row_has_no_filler_tokens() -> None:
    texts = pack(ids_of(3, 3, 5))
    assert texts.ids.tolist() == [1, 2, 3, 101, 102, 103, 201, 202, 203, 204, 205]
    assert texts.positions.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4]
    assert texts.starts.tolist() == [0, 3, 6]
    assert texts.lengths.tolist() == [3, 3, 5]


def test_filler_tokens_come_last_and_belong_to_no_text() -> None:
    texts = pack(ids_of(20, 22, 23))  # 65 tokens, in steps of 4
    assert texts.ids.tolist()[65:] == [0, 0, 0]
    assert texts.positions.tolist()[65:] == [0, 0, 0]
    assert texts.starts.tolist() == [0, 20, 42]
    assert texts.lengths.tolist() == [20, 22, 23]


@pytest.mark.parametrize("fewest", [1, 16, 32, 64, 128])
def test_rows_have_few_lengths_and_few_filler_tokens(fewest: int) -> None:
    lengths = {len(pack(np.ones((total, 1), np.int64)).ids) for total in range(fewest, 2 * fewest)}
    assert len(lengths) <= 17
    assert all(
        len(pack(np.ones((total, 1), np.int64)).ids) - total <= total // 16
        for total in range(fewest, 2 * fewest)
    )
