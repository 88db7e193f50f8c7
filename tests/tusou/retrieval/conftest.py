"""Fixtures of a bundle that is searched, and of a copy that a test may change."""

import shutil
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress


@pytest.fixture(scope="session")
def bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle") / "b"
    build(BuildSpec(str(pool), str(tiny_model), workers=1), root, NoProgress())
    return root


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(bundle, tmp_path / "b")
    return tmp_path / "b"
