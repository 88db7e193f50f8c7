"""The sample of a pool: fixed items, and scores that one in a hundred random pairs reaches."""

import os
from pathlib import Path

import numpy as np
import pytest

from tusou.bundle.array_file import save_array
from tusou.bundle.pool_sample import draw_sample
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Vectors
from tusou.core.errors import CorruptBundle


def units(count: int, seed: int, dim: int = 16) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def stored(path: Path, vectors: Vectors) -> VectorFile:
    save_array(path / "v.npy", vectors)
    return VectorFile(path / "v.npy", (len(vectors), vectors.shape[1]))


def test_one_random_pair_in_a_hundred_has_the_score_or_more(tmp_path: Path) -> None:
    items, queries = units(30_000, 1), units(8, 2)
    sample = draw_sample(stored(tmp_path, items), str, queries)
    other_items, other_queries = units(4000, 3), units(100, 4)
    assert np.mean(other_queries @ other_items.T >= sample.text_score) == pytest.approx(
        0.01, rel=0.3
    )
    assert sample.item_score is not None
    others = other_items[:1000] @ other_items[1000:].T
    assert np.mean(others >= sample.item_score) == pytest.approx(0.01, rel=0.3)


def test_an_item_is_not_paired_with_itself(tmp_path: Path) -> None:
    sample = draw_sample(stored(tmp_path, np.eye(16, dtype=np.float32)), int, units(2, 2))
    assert sample.item_score == 0


def test_the_sample_is_the_same_at_every_start(tmp_path: Path) -> None:
    samples = [draw_sample(stored(tmp_path, units(5000, 1)), int, units(8, 2)) for _ in range(2)]
    assert samples[0] == samples[1]
    assert len(set(samples[0].item_ids)) == 12


def test_vectors_can_be_read_after_their_file_is_gone_and_a_cut_file_is_an_error(
    tmp_path: Path,
) -> None:
    vectors = units(50, 1)
    file = stored(tmp_path, vectors)
    np.testing.assert_array_equal(file.rows([49, 0, 7]), vectors[[49, 0, 7]])
    os.truncate(tmp_path / "v.npy", 1000)
    with pytest.raises(CorruptBundle, match="has been truncated"):
        file.rows([0, 49])
    gone = stored(tmp_path, vectors)
    (tmp_path / "v.npy").unlink()
    np.testing.assert_array_equal(gone.rows([3]), vectors[[3]])


@pytest.mark.parametrize("count", [1, 2, 11])
def test_a_small_pool_is_its_own_sample(tmp_path: Path, count: int) -> None:
    sample = draw_sample(stored(tmp_path, units(count, 1)), int, units(8, 2))
    assert sorted(sample.item_ids) == list(range(count))
    assert (sample.item_score is None) == (count == 1)
