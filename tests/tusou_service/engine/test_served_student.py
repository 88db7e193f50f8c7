"""The service with a student: alone, beside its teacher by header, in the shadow, and refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from drawing import image_bytes, image_line
from fastapi.testclient import TestClient
from tusou_indexer.build import BuildSpec, build
from tusou_lab.distil.run import DistilSpec, distil
from tusou_service.factory import make_parts
from tusou_service.http.app import create_app
from tusou_service.settings import Settings

import tusou
from tusou.cli.progress import NoProgress
from tusou.core.errors import IncompatibleBundle
from tusou.encoders.student.folder import Student

pytestmark = pytest.mark.services

QUERY = {"query": "新款红色沙发", "top_k": 5}
TIMEOUT = {"X-Request-Timeout-Ms": "20000"}


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    pool = folder / "pool.tsv"
    pool.write_bytes(b"".join(image_line(100 + n, 100 + n) for n in range(40)))
    build(BuildSpec(str(pool), str(tiny_model), workers=1), folder / "b", NoProgress())
    return folder / "b"


@pytest.fixture(scope="module")
def student(bundle: Path) -> Student:
    texts = [f"{n}号{colour}{thing}" for n in range(9) for colour in "红黑" for thing in "裙鞋包"]
    log = bundle.parent / "log.jsonl"
    rows = [{"query_id": n, "query_text": text} for n, text in enumerate(texts)]
    log.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return distil(bundle, DistilSpec((str(log),), "table", device="cpu"), bundle.parent / "s")


@contextmanager
def serving(**settings: object) -> Iterator[TestClient]:
    config = Settings(device="cpu", **settings)  # type: ignore[arg-type]
    parts = make_parts(config, None)
    app = create_app(parts.running, config, experiment=parts.experiment)
    with TestClient(app, headers=TIMEOUT) as client:
        assert client.portal
        for engine in parts.experiment.engines if parts.experiment else (parts.engine,):
            client.portal.call(engine.versions.loaded)
            assert engine.versions.load_error is None
        yield client


def test_a_student_answers_in_place_of_the_model(bundle: Path, student: Student) -> None:
    with serving(bundle=bundle, query_encoder=student.path) as client:
        answer = client.post("/search", json=QUERY)
        embedded = client.post("/v1/embeddings", json={"input": QUERY["query"]}).json()
        info = client.get("/info").json()
        seen = client.post(
            "/search/image", content=image_bytes(107), headers={"Content-Type": "image/jpeg"}
        )
        metrics = client.get("/metrics").text
    with tusou.open_bundle(bundle, device="cpu", query_encoder=student.path) as opened:
        expected = opened.search(str(QUERY["query"]), 5)
        vector = opened.encode_texts([str(QUERY["query"])])[0]
    assert answer.headers["x-query-encoder"] == "student"
    assert answer.json()["item_ids"] == [*expected.item_ids]
    np.testing.assert_allclose(embedded["data"][0]["embedding"], vector, atol=1e-6)
    assert embedded["model"] == info["query_encoder"]["name"] == "tiny.pt-student-table"
    assert (info["backend"], info["query_encoder"]["teacher"]) == ("numpy", "tiny.pt")
    assert info["query_encoder"]["retention"]["texts"] == 5
    assert info["query_encoder"]["warning"] is None  # the index is exact
    assert seen.json()["item_ids"][0] == 107
    assert 'tusou_query_encoder_info{arm="a",encoder="tiny.pt-student-table"} 1.0' in metrics


def test_an_index_that_was_not_tuned_for_the_student_is_told(
    bundle: Path, student: Student, tiny_model: Path, tmp_path: Path
) -> None:
    root, pool = tmp_path / "b", str(bundle.parent / "pool.tsv")
    build(BuildSpec(pool, str(tiny_model), workers=1), root, NoProgress())
    with serving(bundle=root, query_encoder=student.path) as client:
        assert client.get("/info").json()["query_encoder"]["warning"] is None
        later = BuildSpec(pool, str(tiny_model), workers=1, index="IVF2,Flat", target_recall=0.01)
        build(later, root, NoProgress())
        assert client.post("/admin/reload").status_code == 200
        warning = client.get("/info").json()["query_encoder"]["warning"]
    assert "(IVF2,Flat) was not tuned" in warning


def test_a_request_names_its_encoder(bundle: Path, student: Student) -> None:
    settings = {"bundle": bundle, "ab_query_encoder": student.path, "ab_share": 0}
    scores = {}
    with serving(**settings) as client:
        for kind in ("teacher", "student"):
            answer = client.post("/search", json=QUERY, headers={"X-Query-Encoder": kind})
            assert answer.headers["x-arm"] == {"teacher": "a", "student": "b"}[kind]
            assert answer.headers.get("x-query-encoder") == {"student": "student"}.get(kind)
            scores[kind] = answer.json()["scores"]
            info = client.get("/info", headers={"X-Query-Encoder": kind}).json()
            assert (info["query_encoder"] is None) is (kind == "teacher")
        unnamed = client.post("/search", json=QUERY)
        for arm, kind in (("a", "student"), ("b", "teacher")):
            other = {"X-Arm": arm, "X-Query-Encoder": kind}
            assert client.post("/search", json=QUERY, headers=other).status_code == 422
        both = {"X-Arm": "b", "X-Query-Encoder": "student"}
        assert client.post("/search", json=QUERY, headers=both).status_code == 200
        wrong = client.post("/search", json=QUERY, headers={"X-Query-Encoder": "model"})
    assert scores["teacher"] != scores["student"]
    assert unnamed.json()["scores"] == scores["teacher"]
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (
        422,
        ["header", "X-Query-Encoder"],
    )


@pytest.mark.parametrize("asked", ["teacher", "student"])
def test_an_encoder_that_is_not_there_is_refused(
    bundle: Path, student: Student, asked: str
) -> None:
    encoder = {"query_encoder": student.path} if asked == "teacher" else {}
    with serving(bundle=bundle, **encoder) as client:
        refused = client.post("/search", json=QUERY, headers={"X-Query-Encoder": asked})
        assert client.get("/healthz", headers={"X-Query-Encoder": asked}).status_code == 200
        assert client.post("/search", json=QUERY).status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert f"No {asked} encodes queries here" in refused.json()["errors"][0]["detail"]


def test_a_student_in_the_shadow_is_compared_and_answers_nobody(
    bundle: Path, student: Student
) -> None:
    settings = {"ab_query_encoder": student.path, "ab_mode": "shadow", "ab_share": 1}
    with serving(bundle=bundle, **settings) as client:
        answer = client.post("/search", json=QUERY)
        assert "x-query-encoder" not in answer.headers
        refused = client.post("/search", json=QUERY, headers={"X-Query-Encoder": "student"})
        assert refused.status_code == 422
        compared = 'tusou_shadow_queries_total{result="compared"} 1.0'
        while compared not in client.get("/metrics").text:
            sleep(0.01)


def test_a_bundle_of_another_teacher_is_not_served(
    student: Student, second_model: Path, tmp_path: Path
) -> None:
    pool = tmp_path / "pool.tsv"
    pool.write_bytes(b"".join(image_line(100 + n, 100 + n) for n in range(10)))
    build(BuildSpec(str(pool), str(second_model), workers=1), tmp_path / "b", NoProgress())
    config = Settings(bundle=tmp_path / "b", query_encoder=student.path, device="cpu")
    parts = make_parts(config, None)
    with TestClient(create_app(parts.running, config)) as client:
        assert client.portal
        client.portal.call(parts.engine.versions.loaded)
        assert isinstance(parts.engine.versions.load_error, IncompatibleBundle)
        assert client.post("/search", json=QUERY).status_code == 503
