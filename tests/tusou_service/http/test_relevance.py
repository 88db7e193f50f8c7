"""Relevance over HTTP is that of the pipeline, in every kind of search; refusals have a code."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calibrated import add_calibration, make_calibration
from drawing import image_bytes
from fastapi.testclient import TestClient

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import connected
from tusou.bundle.bundle import current_version
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

TEXT, CENTER = "红色连衣裙", 0.1


class BundleSource:
    """Opens a bundle as the service does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def current_version(self) -> str:
        return current_version(self.root)

    def open(self) -> SearchPipeline:
        return SearchPipeline.open(self.root)


FIELDS = {"relevance", "answer_relevance", "matched"}


@pytest.fixture(scope="module")
def root(three_bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(three_bundles[0], folder / "b")
    pipeline = SearchPipeline.open(folder / "b")
    (hits,) = pipeline.search([Query.of_text(TEXT, 20)]).hits
    assert isinstance(hits, Hits)
    add_calibration(folder / "b", make_calibration(64, center=hits.scores[7]), folder)
    return folder / "b"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    with connected(BundleSource(root), image_queries="on") as client:
        yield client


def post(client: TestClient, path: str = "/search", **fields: object) -> dict[str, Any]:
    response = client.post(path, json=fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_response_has_the_relevance_of_the_pipeline(client: TestClient, root: Path) -> None:
    (hits,) = SearchPipeline.open(root).search([Query.of_text(TEXT, 12)]).hits
    assert isinstance(hits, Hits)
    body = post(client, query=TEXT, top_k=12)
    assert body["relevance"] == list(hits.relevance)
    assert body["relevance"][7] == 0.5
    assert (body["answer_relevance"], body["matched"]) == (hits.answer_relevance, True)


def test_a_least_relevance_cuts_single_searches_batches_and_pages(client: TestClient) -> None:
    whole = post(client, query=TEXT, top_k=12)["item_ids"]
    assert post(client, query=TEXT, top_k=12, min_relevance=0.5)["item_ids"] == whole[:8]
    page = post(client, query=TEXT, top_k=5, offset=5, min_relevance=0.5)
    assert (page["item_ids"], page["matched"]) == (whole[5:8], True)
    batch = post(client, "/search/batch", queries=[TEXT, TEXT], top_k=12, min_relevance=0.5)
    assert [result["item_ids"] for result in batch["results"]] == [whole[:8]] * 2
    nothing = post(client, query=TEXT, min_relevance=1)
    assert [nothing[name] for name in ("item_ids", "relevance", "matched")] == [[], [], False]
    assert nothing["answer_relevance"] > 0.5


def test_queries_that_are_not_calibrated_have_none_and_cannot_be_cut(client: TestClient) -> None:
    image = base64.b64encode(image_bytes(101)).decode()
    headers = {"Content-Type": "image/jpeg"}
    for fields in ({"image": image}, {"item_id": 105}, {"query": TEXT, "item_id": 105}):
        assert not FIELDS & post(client, **fields).keys()
        problem = problem_of(client.post("/search", json={**fields, "min_relevance": 0.5}))
        assert (problem["status"], problem["code"]) == (422, "not_calibrated")
        (error,) = problem["errors"]  # type: ignore[misc]
        assert error["loc"] == ["body", "min_relevance"]
    path = "/search/image?min_relevance=0.5"
    response = client.post(path, content=image_bytes(101), headers=headers)
    assert problem_of(response)["code"] == "not_calibrated"


def test_a_bundle_without_a_calibration_says_so(three_bundles: list[Path]) -> None:
    with connected(BundleSource(three_bundles[0])) as client:
        assert client.get("/info").json()["relevance"] is None
        assert not FIELDS & post(client, query=TEXT).keys()
        response = client.post("/search", json={"query": TEXT, "min_relevance": 0})
        assert problem_of(response)["code"] == "not_calibrated"
        batch = {"queries": [TEXT, "  "], "min_relevance": 0, "partial": True}
        results = client.post("/search/batch", json=batch).json()["results"]
        codes = [result["problem"]["code"] for result in results]
        assert codes == ["not_calibrated", "empty_query"]


def test_info_names_the_kind_of_queries(client: TestClient) -> None:
    info = client.get("/info").json()
    assert info["relevance"] == "texts"
    assert info["manifest"]["stages"]["calibration"]["kind"] == "logistic"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param("1.01", "less_than_equal", id="above"),
        pytest.param("-0.1", "greater_than_equal", id="below"),
        pytest.param("NaN", "finite_number", id="nan"),
        pytest.param('"0.5"', "float_type", id="text"),
    ],
)
def test_a_least_relevance_is_a_probability(client: TestClient, value: str, kind: str) -> None:
    body = f'{{"query": "{TEXT}", "min_relevance": {value}}}'
    response = client.post(
        "/search", content=body.encode(), headers={"Content-Type": "application/json"}
    )
    problem = problem_of(response)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (error,) = problem["errors"]  # type: ignore[misc]
    assert (error["loc"], error["type"]) == (["body", "min_relevance"], kind)
