"""POST /v1/embeddings: the response, OpenAI's official client, and invalid requests."""

import asyncio
import base64
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient
from openai import AsyncOpenAI, NotFoundError, NotGiven, UnprocessableEntityError
from tusou_indexer.build import BuildSpec, build
from tusou_service.factory import BundleSource
from tusou_service.settings import Settings

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import running
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.images.preprocess import open_image, to_pixels

IMAGE = image_bytes(5)
URI = "data:image/jpeg;base64," + base64.b64encode(IMAGE).decode()
LONG = "很长的红色碎花连衣裙" * 8  # 80 characters; the model reads 50 of them


def test_the_response(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"input": ["红裙", URI], "model": "any"})
    body = response.json()
    image = body["data"].pop()
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": body["data"][0]["embedding"]}],
        "model": "tiny",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert body["data"][0]["embedding"] == pytest.approx([0.6, 0.8, 0])
    assert (image["index"], len(image["embedding"])) == (1, 3)


@pytest.mark.parametrize(
    ("body", "code", "loc"),
    [
        ({"input": "裙", "dimensions": 64}, "invalid_request", ["dimensions"]),
        ({"input": "裙", "encoding_format": "int8"}, "invalid_request", ["encoding_format"]),
        ({"input": [URI] * 17}, "invalid_request", ["input"]),
        ({"input": ["裙", " "]}, "empty_query", ["input", 1]),
        ({"input": [URI, "裙" * 513]}, "query_too_long", ["input", 1]),
        ({"input": ["data:image/png;base64,AAAA"]}, "bad_image", []),
        ({"input": ["data:image/png,AAAA"]}, "bad_image", []),
    ],
)
def test_an_invalid_request_is_refused(
    client: TestClient, body: object, code: str, loc: list[object]
) -> None:
    problem = problem_of(client.post("/v1/embeddings", json=body))
    assert (problem["status"], problem["code"]) == (422, code)
    assert problem["errors"][0]["loc"] == ["body", *loc]  # type: ignore[index]


def test_an_error_has_the_message_that_openais_clients_show(client: TestClient) -> None:
    problem = client.post("/v1/embeddings", json={"input": "裙", "dimensions": 64}).json()
    assert problem["message"] == problem["errors"][0]["detail"]
    assert "message" not in client.post("/search", json={}).json()


@pytest.mark.parametrize(
    "extra", [{"user": "u"}, {"task": 5, "input_type": None}, {"dimensions": 3}]
)
def test_fields_that_a_client_adds_are_accepted(
    client: TestClient, extra: dict[str, object]
) -> None:
    expected = client.post("/v1/embeddings", json={"input": "裙"}).json()
    assert client.post("/v1/embeddings", json={"input": "裙", **extra}).json() == expected


@pytest.mark.parametrize("value", [[1, 2], [[1, 2], [3]]])
def test_token_ids_are_refused_with_a_hint_for_langchain(client: TestClient, value: object) -> None:
    problem = problem_of(client.post("/v1/embeddings", json={"input": value}))
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (error,) = problem["errors"]  # type: ignore[misc]
    assert (error["loc"], error["type"]) == (["body", "input"], "token_ids")
    assert "check_embedding_ctx_length=False" in str(problem["message"])


def test_the_model_is_listed(client: TestClient) -> None:
    card = {"id": "tiny", "object": "model", "created": 0, "owned_by": "tusou"}
    assert client.get("/v1/models").json() == {"object": "list", "data": [card]}
    assert client.get("/v1/models/tiny").json() == card
    problem = problem_of(client.get("/v1/models/text-embedding-3-small"))
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert problem["message"] == "Another model is served; GET /v1/models names it."


@pytest.mark.parametrize("value", [[], [[1, 2]], [1], ["裙"] * 257, None, 5])
def test_an_invalid_input_is_refused(client: TestClient, value: object) -> None:
    problem = problem_of(client.post("/v1/embeddings", json={"input": value}))
    assert (problem["status"], problem["code"]) == (422, "invalid_request")


async def test_openais_official_client_works(tiny_model: Path, pool: Path, tmp_path: Path) -> None:
    build(BuildSpec(str(pool), str(tiny_model), workers=1), tmp_path / "bundle", NoProgress())
    source = BundleSource(tmp_path / "bundle", None, None, Settings(device="cpu", cache_queries=0))
    texts = ["红色连衣裙", LONG]
    expected = await asyncio.to_thread(_encode_directly, tiny_model, texts)
    async with (
        running(source, timeout_ms=30_000) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        for encoding in ("float", "base64", NotGiven()):
            response = await client.embeddings.create(
                model="tusou",
                input=[texts[0], URI, texts[1]],
                encoding_format=encoding,  # type: ignore[arg-type]
            )
            vectors = np.stack([_to_vector(item.embedding) for item in response.data])
            np.testing.assert_allclose(vectors, expected, atol=1e-5)
            assert [item.index for item in response.data] == [0, 1, 2]
            assert (response.model, response.usage.prompt_tokens) == ("tiny.pt", 7 + 52)
        dim = len(expected[0])
        same = await client.embeddings.create(model="x", input="裙", dimensions=dim, user="u")
        assert len(same.data[0].embedding) == dim
        (listed,) = [model async for model in client.models.list()]
        assert (await client.models.retrieve(listed.id)).id == listed.id == "tiny.pt"
        with pytest.raises(NotFoundError, match="Another model is served"):
            await client.models.retrieve("clip")
        with pytest.raises(UnprocessableEntityError, match="check_embedding_ctx_length=False"):
            await client.embeddings.create(model="tusou", input=[[1, 2, 3]])
        with pytest.raises(UnprocessableEntityError, match="leave dimensions out"):
            await client.embeddings.create(model="tusou", input="裙", dimensions=65)


def _encode_directly(model: Path, texts: list[str]) -> Vectors:
    weights = find_weights(str(model))
    text_encoder, image_encoder = load_text_encoder(weights), load_image_encoder(weights)
    first, second = text_encoder.encode(text_encoder.prepare(texts))
    pixels = to_pixels(open_image(IMAGE), image_encoder.transform)
    (image,) = image_encoder.encode(pixels[None])
    return np.stack([first, image, second])


def _to_vector(embedding: object) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return np.array(embedding, np.float32)
