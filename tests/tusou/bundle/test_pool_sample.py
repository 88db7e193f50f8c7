"""The sample of a pool: fixed items, and scores that one in a hundred random pairs reaches."""

from pathlib import Path

import numpy as np
import pytest

from tusou.bundle.pool_sample import draw_sample
from tusou.core.arrays import Vectors


def units(count: int, seed: int, dim: int = 16) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_one_random_pair_in_a_hundred_has_the_score_or_more() -> None:
    items, queries = units(30_000, 1), units(8, 2)
    sample = draw_sample(items, str, queries)
    other_items, other_queries = units(4000, 3), units(100, 4)
    assert np.mean(other_queries @ other_items.T >= sample.text_score) == pytest.approx(
        0.01, rel=0.3
    )
    assert sample.item_score is not None
    others = other_items[:1000] @ other_items[1000:].T
    assert np.mean(others >= sample.item_score) == pytest.approx(0.01, rel=0.3)


def test_an_item_is_not_paired_with_itself() -> None:
    sample = draw_sample(np.eye(16, dtype=np.float32), int, units(2, 2))
    assert sample.item_score == 0


def test_the_sample_is_the_same_at_every_start_and_reads_a_mapped_file(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", units(5000, 1))
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert draw_sample(mapped, int, units(8, 2)) == draw_sample(units(5000, 1), int, units(8, 2))
    assert len(set(draw_sample(mapped, int, units(8, 2)).item_ids)) == 12


@pytest.mark.parametrize("count", [1, 2, 11])
def test_a_small_pool_is_its_own_sample(count: int) -> None:
    sample = draw_sample(units(count, 1), int, units(8, 2))
    assert sorted(sample.item_ids) == list(range(count))
    assert (sample.item_score is None) == (count == 1)
