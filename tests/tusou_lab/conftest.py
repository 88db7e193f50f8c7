"""Fixtures for tests of the lab: a bundle of a tiny model over drawn images."""

from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress


@pytest.fixture(scope="session")
def tiny_bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index the pool of 300 images with the tiny model."""
    root = tmp_path_factory.mktemp("lab") / "bundle"
    build(BuildSpec(str(pool), str(tiny_model), workers=1), root, NoProgress())
    return root
