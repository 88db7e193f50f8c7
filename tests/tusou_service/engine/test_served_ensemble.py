"""The service on a bundle of two models with several prompts and with views of images."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import image_bytes, image_line
from fastapi.testclient import TestClient
from tiny_models import save_tiny_model
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.compact import compact
from tusou_service.factory import make_parts
from tusou_service.http.app import create_app
from tusou_service.settings import Settings

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.encoders import find_weights, load_image_encoder
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

NEW = image_bytes(900)
URI = "data:image/jpeg;base64," + base64.b64encode(NEW).decode()
SLOW = {"X-Request-Timeout-Ms": "30000"}


@pytest.fixture
def large_model(tmp_path: Path) -> Path:
    """Save a model that reads larger images."""
    return save_tiny_model(tmp_path / "large.pt", 2, embed_dim=48, image_resolution=48)


@pytest.fixture
def bundle(tiny_model: Path, large_model: Path, tmp_path: Path) -> Path:
    """Index 40 images, 100.. 139, with the views `flip`."""
    pool, templates = tmp_path / "imgs.tsv", tmp_path / "templates.txt"
    pool.write_bytes(b"".join(image_line(100 + n, 100 + n) for n in range(40)))
    templates.write_text("{query}\n这是一个商品搜索：{query}\n")
    spec = BuildSpec(
        str(pool),
        str(tiny_model),
        device="cpu",
        workers=1,
        more_models=(str(large_model),),
        weights=(0.25, 0.75),
        prompt_file=templates,
        views="flip",
    )
    build(spec, tmp_path / "b", NoProgress())
    return tmp_path / "b"


@contextmanager
def serving(bundle: Path, **settings: Any) -> Iterator[TestClient]:
    config = Settings(bundle=bundle, device="cpu", target_ms=30_000, **settings)
    parts = make_parts(config, None)
    app = create_app(parts.running, config, experiment=parts.experiment)
    with TestClient(app, headers=SLOW) as client:
        assert client.portal
        for engine in parts.experiment.engines if parts.experiment else [parts.engine]:
            client.portal.call(engine.versions.loaded)
        yield client


def test_queries_embeddings_and_the_description(bundle: Path) -> None:
    pipeline = SearchPipeline.open(bundle, device="cpu")
    (hits,) = pipeline.search([Query.of_text("红色碎花裙", 5)]).hits
    with serving(bundle) as client:
        answer = client.post("/search", json={"query": "红色碎花裙", "top_k": 5}).json()
        assert tuple(answer["item_ids"]) == hits.item_ids  # type: ignore[union-attr]
        assert answer["scores"] == pytest.approx(hits.scores, abs=1e-5)  # type: ignore[union-attr]
        body = {"input": ["红色碎花裙", URI], "model": "any"}
        embedded = client.post("/v1/embeddings", json=body).json()
        text, image = (np.array(each["embedding"]) for each in embedded["data"])
        assert text.shape == image.shape == (112,)
        best = Bundle.open(bundle).vectors @ text.astype(np.float32)
        assert best.max() == pytest.approx(hits.scores[0], abs=1e-5)  # type: ignore[union-attr]
        info = client.get("/info").json()
        assert (info["model"], info["precision"]) == ("0.25*tiny.pt+0.75*large.pt", "fp32")
        model = info["manifest"]["model"]
        assert [member["name"] for member in model["members"]] == ["tiny.pt", "large.pt"]
        assert str(bundle.parent) not in client.get("/info").text
        assert "location" not in {*model, *model["members"][0]}
        assert info["manifest"]["views"] == "flip"
        assert client.get("/v1/models").json()["data"][0]["id"] == info["model"]


def test_an_added_image_is_encoded_as_an_indexed_one(
    bundle: Path, tiny_model: Path, large_model: Path
) -> None:
    with serving(bundle, live="on") as client:
        added = client.put("/items/900", json={"image": base64.b64encode(NEW).decode()})
        assert (added.status_code, added.json()["status"]) == (200, "created"), added.text
        image = {"Content-Type": "image/jpeg"}
        seen = client.post("/search/image?top_k=1", content=NEW, headers=image).json()
        assert seen["item_ids"] == [900]
        assert seen["scores"] == [pytest.approx(1, abs=1e-5)]
        before = client.post("/search", json={"query": "红色碎花裙", "top_k": 41}).json()
    compact(bundle)
    stored = Bundle.open(bundle)
    stored.verify()
    assert stored.manifest.model.members[1].weight == 0.75
    vector = np.array(stored.vectors[40])
    start = 0
    for model, side, weight in ((tiny_model, 32, 0.25), (large_model, 48, 0.75)):
        encoder = load_image_encoder(find_weights(str(model)), "cpu", "fp32", "torch")
        pixels = to_pixels(open_image(NEW), ImageTransform(side))
        mean = encoder.encode(np.ascontiguousarray([pixels, pixels[:, ::-1]])).mean(axis=0)
        expected = np.sqrt(weight) * mean / np.linalg.norm(mean)
        part = vector[start : start + encoder.dim]
        np.testing.assert_allclose(part, expected, atol=1e-5)
        start += encoder.dim
    with serving(bundle) as client:
        after = client.post("/search", json={"query": "红色碎花裙", "top_k": 41}).json()
    assert list(map(str, after["item_ids"])) == list(map(str, before["item_ids"]))
    assert after["scores"] == pytest.approx(before["scores"], abs=1e-5)


def test_an_ensemble_against_one_of_its_models(
    bundle: Path, tiny_model: Path, tmp_path: Path
) -> None:
    manifest = Bundle.open(bundle).manifest
    spec = BuildSpec(manifest.source.path, str(tiny_model), device="cpu", workers=1)
    build(spec, tmp_path / "one", NoProgress())
    with serving(bundle, ab_bundle=tmp_path / "one", ab_mode="split", ab_share=0.5) as client:
        arms = {}
        for user in range(20):
            headers = {"X-User-Key": f"user-{user}"}
            answer = client.post("/search", json={"query": "红色碎花裙"}, headers=headers)
            arms[answer.headers["x-arm"]] = answer.json()["index_version"]
        assert arms == {
            "a": Bundle.open(bundle).version,
            "b": Bundle.open(tmp_path / "one").version,
        }
