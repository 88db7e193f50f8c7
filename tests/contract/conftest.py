"""Pools in each type of index. Milvus's are tested in the environment of `make test-milvus`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.pools import INDEXES, Pool, open_local

if TYPE_CHECKING:
    from tests.milvus.lite_server import LiteServer

# A new pool with live changes, of the type of index that is tested.
OpenPool = Callable[[], Pool]
INDEX_TYPES = [*INDEXES, pytest.param("milvus", marks=pytest.mark.milvus)]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["LiteServer"]:
    from tests.milvus.lite_server import LiteServer

    server = LiteServer(tmp_path_factory.mktemp("milvus") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=INDEX_TYPES)
def index_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _open(stack: ExitStack, request: pytest.FixtureRequest, folder: Path, *, live: bool) -> Pool:
    index_type = request.getfixturevalue("index_type")
    if index_type != "milvus":
        return open_local(folder, INDEXES[index_type], live=live)
    from tests.contract.on_milvus import milvus_pool

    server = request.getfixturevalue("server")
    return stack.enter_context(milvus_pool(folder, server.uri, live=live))


@pytest.fixture(scope="module", params=["static", "live"])
def pool(
    request: pytest.FixtureRequest, index_type: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pool]:
    """A pool as it was published, or after many live changes; tests do not change it."""
    del index_type
    live = request.param == "live"
    with ExitStack() as stack:
        pool = _open(stack, request, tmp_path_factory.mktemp("pool"), live=live)
        if live:
            pool.change_at_random(300)
        yield pool


@pytest.fixture
def open_pool(
    request: pytest.FixtureRequest, index_type: str, tmp_path: Path
) -> Iterator[OpenPool]:
    del index_type
    with ExitStack() as stack:
        yield lambda: _open(stack, request, tmp_path, live=True)
