"""Fixtures of several packages: a small real model, and pools drawn by the tests."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawing import image_line
from object_store import ObjectStore, running_store
from tiny_models import save_tiny_model

# Tests run beside each other's servers: two OpenMP teams on two cores wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a cn_clip model of two layers with random weights, in cn_clip's own format."""
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.pt")


@pytest.fixture(scope="session")
def second_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save another one, with vectors of 48 numbers."""
    return save_tiny_model(tmp_path_factory.mktemp("model") / "second.pt", 1, embed_dim=48)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of 300 good images under the ids 1000..1299."""
    path = tmp_path_factory.mktemp("pool") / "MR_test_imgs.tsv"
    path.write_bytes(b"".join(image_line(1000 + seed, seed) for seed in range(300)))
    return path


@pytest.fixture(scope="session")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 40 queries for that pool."""
    path = tmp_path_factory.mktemp("queries") / "MR_test_queries.jsonl"
    rows = [
        {"query_id": 7000 + n, "query_text": f"{n}号红色碎花吊带裙", "item_ids": [1000 + n]}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def _object_store() -> Iterator[ObjectStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def object_store(
    _object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ObjectStore:
    """Return a running store, which the AWS variables of this process name."""
    for name, value in _object_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return _object_store


@pytest.fixture(scope="session")
def three_bundles(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return three bundles of 40 images each, under ids from 100, 200 and 300 on."""
    from tusou_indexer.build import BuildSpec, build

    from tusou.cli.progress import NoProgress

    folder = tmp_path_factory.mktemp("bundles")
    for first in (100, 200, 300):
        pool = folder / f"pool-{first}.tsv"
        pool.write_bytes(b"".join(image_line(first + n, first + n) for n in range(40)))
        spec = BuildSpec(str(pool), str(tiny_model), workers=1, device="cpu")
        build(spec, folder / str(first), NoProgress())
    return [folder / str(first) for first in (100, 200, 300)]
