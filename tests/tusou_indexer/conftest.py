"""Fixtures of the indexer's tests."""

import json
from functools import cache
from pathlib import Path

import pytest
from tusou_indexer import build as build_module
from tusou_indexer import write_bundle as write_bundle_module
from tusou_indexer.build import BuildSpec

from tusou.encoders import (
    find_weights,
    load_reference_text_encoder,
    open_image_encoder,
    open_text_encoder,
)

TEXT_ITEMS = 20

_find_weights, _open_text_encoder = cache(find_weights), cache(open_text_encoder)
_load_text_encoder, _open_image_encoder = (
    cache(load_reference_text_encoder),
    cache(open_image_encoder),
)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shards and batches so small that a tiny pool has several."""
    monkeypatch.setattr(build_module, "SHARD_ROWS", 64)
    monkeypatch.setattr(build_module, "BATCH_ROWS", 16)


@pytest.fixture
def quick_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make three shards of `text_spec`, and load its model once for all builds."""
    monkeypatch.setattr(build_module, "SHARD_ROWS", 8)
    monkeypatch.setattr(build_module, "BATCH_ROWS", 4)
    monkeypatch.setattr(build_module, "find_weights", _find_weights)
    monkeypatch.setattr(build_module, "open_text_encoder", _open_text_encoder)
    monkeypatch.setattr(build_module, "open_image_encoder", _open_image_encoder)
    monkeypatch.setattr(write_bundle_module, "load_reference_text_encoder", _load_text_encoder)


@pytest.fixture(scope="session")
def text_spec(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> BuildSpec:
    """Return a build of 20 texts, a blank line and a line without a text."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = [json.dumps({"id": 1000 + n, "text": f"第{n}件连衣裙"}) for n in range(TEXT_ITEMS)]
    path.write_text("\n".join([*rows[:9], "", "{}", *rows[9:]]) + "\n")
    return BuildSpec(str(path), str(tiny_model), max_bad="2", device="cpu")
