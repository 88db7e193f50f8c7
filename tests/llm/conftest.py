"""A server of small vision language models for all tests, and the mark that keeps them apart."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.model_server import ModelServer

# Without the package that the tests import, there are none.
collect_ignore_glob = [] if find_spec("transformers") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("llm")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two models: `taught` tells red images from blue, `random` answers anything."""
    from tests.llm.tiny_vlm import save_tiny_vlm

    folder = tmp_path_factory.mktemp("models")
    save_tiny_vlm(folder / "taught", taught=True)
    save_tiny_vlm(folder / "random", taught=False)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ModelServer"]:
    """A server that tests may end, if they start it again."""
    from benchmarks.model_server import ModelServer

    server = ModelServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()
