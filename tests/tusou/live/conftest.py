"""Fixtures of the tests of live changes."""

from pathlib import Path

import pytest
from live_bundle import ATTRIBUTES, CONTENTS, IDS, SCHEMA, VECTORS

from benchmarks.vector_bundle import write_vector_bundle
from tusou.bundle.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Publish the five items as `tmp_path/b`."""
    return write_vector_bundle(tmp_path / "b", IDS, VECTORS, CONTENTS, SCHEMA, ATTRIBUTES)
