"""POST /v1/embeddings: OpenAI's form, its official client, and what is refused."""

import asyncio
import base64
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient
from openai import AsyncOpenAI, NotGiven, UnprocessableEntityError
from tusou_indexer.build import BuildSpec, build
from tusou_service.factory import BundleSource

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import running
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.images.preprocess import open_image, to_pixels

IMAGE = image_bytes(5)
URI = "data:image/jpeg;base64," + base64.b64encode(IMAGE).decode()
LONG = "很长的红色碎花连衣裙" * 8  # 80 characters; the model reads 50 of them


def test_the_form_of_an_answer(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"input": ["红裙", URI], "model": "any"})
    body = response.json()
    seen = body["data"].pop()
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": body["data"][0]["embedding"]}],
        "model": "tiny",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert body["data"][0]["embedding"] == pytest.approx([0.6, 0.8, 0])
    assert (seen["index"], len(seen["embedding"])) == (1, 3)


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        ({"input": "裙", "dimensions": 64}, "invalid_request", ["dimensions"]),
        ({"input": "裙", "encoding_format": "int8"}, "invalid_request", ["encoding_format"]),
        ({"input": [URI] * 17}, "invalid_request", ["input"]),
        ({"input": ["裙", " "]}, "empty_query", ["input", 1]),
        ({"input": [URI, "裙" * 513]}, "query_too_long", ["input", 1]),
        ({"input": "裙", "image_url": "http://a/"}, "invalid_request", ["image_url"]),
        ({"input": ["data:image/png;base64,AAAA"]}, "bad_image", []),
        ({"input": ["data:image/png,AAAA"]}, "bad_image", []),
    ],
)
def test_refuses(client: TestClient, body: object, code: str, where: list[object]) -> None:
    problem = problem_of(client.post("/v1/embeddings", json=body))
    assert (problem["status"], problem["code"]) == (422, code)
    assert problem["errors"][0]["loc"] == ["body", *where]  # type: ignore[index]


def test_an_error_has_the_message_that_openais_clients_show(client: TestClient) -> None:
    problem = client.post("/v1/embeddings", json={"input": "裙", "dimensions": 64}).json()
    assert problem["message"] == problem["errors"][0]["detail"]
    assert "message" not in client.post("/search", json={}).json()


@pytest.mark.parametrize("wrong", [[], [[1, 2]], [1], ["裙"] * 257, None, 5])
def test_refuses_other_inputs(client: TestClient, wrong: object) -> None:
    problem = problem_of(client.post("/v1/embeddings", json={"input": wrong}))
    assert (problem["status"], problem["code"]) == (422, "invalid_request")


async def test_the_official_client_works_unchanged(
    tiny_model: Path, pool: Path, tmp_path: Path
) -> None:
    build(BuildSpec(str(pool), str(tiny_model), workers=1), tmp_path / "bundle", NoProgress())
    source = BundleSource(tmp_path / "bundle", "cpu", None, "auto", "auto", 0)
    texts = ["红色连衣裙", LONG]
    expected = await asyncio.to_thread(_by_the_model, tiny_model, texts)
    async with (
        running(source, timeout_ms=30_000) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        for encoding in ("float", "base64", NotGiven()):
            answer = await client.embeddings.create(
                model="tusou",
                input=[texts[0], URI, texts[1]],
                encoding_format=encoding,  # type: ignore[arg-type]
            )
            got = np.stack([_numbers(one.embedding) for one in answer.data])
            np.testing.assert_allclose(got, expected, atol=1e-5)
            assert [one.index for one in answer.data] == [0, 1, 2]
            assert (answer.model, answer.usage.prompt_tokens) == ("tiny.pt", 7 + 52)
        with pytest.raises(UnprocessableEntityError, match="leave dimensions out"):
            await client.embeddings.create(model="tusou", input="裙", dimensions=64)


def _by_the_model(model: Path, texts: list[str]) -> Vectors:
    weights = find_weights(str(model))
    reader, viewer = load_text_encoder(weights), load_image_encoder(weights)
    first, second = reader.encode(reader.prepare(texts))
    (seen,) = viewer.encode(to_pixels(open_image(IMAGE), viewer.image_size)[None])
    return np.stack([first, seen, second])


def _numbers(embedding: object) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return np.array(embedding, np.float32)
