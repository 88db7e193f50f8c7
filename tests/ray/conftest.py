"""A cluster of two nodes for all tests, and the mark that deselects them elsewhere."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ray.two_nodes import TwoNodes

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Otherwise Ray takes 127.0.0.1 in an address for this machine's address in its network.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

# Without the package that the tests import, there are none. (This folder is found as `ray`, too.)
collect_ignore_glob = [] if find_spec("ray.exceptions") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("ray")


@pytest.fixture(scope="session")
def cluster() -> Iterator["TwoNodes"]:
    from tests.ray.two_nodes import TwoNodes

    cluster = TwoNodes()
    yield cluster
    cluster.stop()
