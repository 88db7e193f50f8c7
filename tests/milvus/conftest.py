"""A Milvus server for all tests, and the mark that keeps them out of the main environment."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tusou_indexer.build import BuildSpec

    from tests.milvus.building import Index
    from tests.milvus.lite_server import LiteServer

# Without the packages that the tests import, there are none.
collect_ignore_glob = [] if find_spec("pymilvus") and find_spec("milvus_lite") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("milvus")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["LiteServer"]:
    """A server that no test ends or stops."""
    yield from _running(tmp_path_factory.mktemp("milvus"))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator["LiteServer"]:
    """A server of one test, which may end it."""
    yield from _running(tmp_path)


@pytest.fixture
def spec(server: "LiteServer", tmp_path: Path, tiny_model: Path) -> "BuildSpec":
    """A build of 30 texts into collections named after the test's folder."""
    from tests.milvus.building import spec_of

    return spec_of(tmp_path, server.uri, tiny_model)


@pytest.fixture
def index(spec: "BuildSpec", tmp_path: Path) -> "Index":
    """Build the bundle of the test's folder, with changes to the specification."""
    from tests.milvus.building import builder

    return builder(spec, tmp_path / "bundle")


def _running(folder: Path) -> Iterator["LiteServer"]:
    from tests.milvus.lite_server import LiteServer

    server = LiteServer(folder / "data")
    server.start()
    yield server
    server.kill()
