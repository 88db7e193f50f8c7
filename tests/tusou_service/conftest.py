"""Fixtures for the tests of the service: a small pipeline, its source, and a client."""

import os
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TUSOU_"):
            monkeypatch.delenv(name)


@pytest.fixture
def pipeline() -> TinyPipeline:
    return TinyPipeline(TinyBundle("v1"))


@pytest.fixture
def source(pipeline: TinyPipeline) -> TinySource:
    return TinySource(pipeline)


@pytest.fixture
def client(source: TinySource) -> Iterator[TestClient]:
    with connected(source, timeout_ms=20_000) as client:
        yield client
