"""Fixtures of the indexer's tests."""

import pytest
from tusou_indexer import build as build_module


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shards and batches so small that a tiny pool has several."""
    monkeypatch.setattr(build_module, "SHARD_ROWS", 64)
    monkeypatch.setattr(build_module, "BATCH_ROWS", 16)
