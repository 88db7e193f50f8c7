"""The calls of both clients against a real server."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tusou_client import AsyncClient, Client, RetryPolicy, ServiceError
from tusou_client.errors import IndexChanged, UsageError
from tusou_client.wire import MAX_TIMEOUT_MS

from tests.tusou_client.sending import FAST, Send, send_blocking
from tusou.core.hits import Hits


def test_search(send: Send, server, service) -> None:
    hits = send(server.url, "search", "纯棉碎花吊带裙", 3)
    expected = service.hits("纯棉碎花吊带裙", 3)
    assert hits.item_ids == tuple(expected["item_ids"])
    assert hits.scores == (0.9, 0.899, 0.898)
    assert (hits.truncated, hits.index_version) == (False, "v1")


def test_a_request_is_what_the_contract_says(send: Send, server, service) -> None:
    send(server.url + "/", "search_batch", ["裙", "鞋"], 5, api_key="secret-1")
    [(path, headers, body)] = service.posts
    assert (path, body) == ("/search/batch", {"queries": ["裙", "鞋"], "top_k": 5})
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer secret-1"
    assert headers["X-Request-Timeout-Ms"] == "5000"


def test_a_batch_keeps_order_and_shares_one_version(send: Send, server, service) -> None:
    batch = send(server.url, "search_batch", ["裙", "鞋", "x" * 60])
    assert [list(hits.item_ids) for hits in batch] == [
        service.hits(query, 10)["item_ids"] for query in ("裙", "鞋", "x" * 60)
    ]
    assert [hits.truncated for hits in batch] == [False, False, True]
    assert {hits.index_version for hits in batch} == {"v1"}


def test_a_long_batch_is_split(send: Send, server, service) -> None:
    queries = [f"裙{number}" for number in range(600)]
    batch = send(server.url, "search_batch", queries, 2)
    assert [list(hits.item_ids) for hits in batch] == [
        service.hits(query, 2)["item_ids"] for query in queries
    ]
    assert [len(body["queries"]) for _, _, body in service.posts] == [256, 256, 88]
    assert send(server.url, "search_batch", []) == []


def test_a_batch_is_split_where_its_results_are_too_many(send: Send, server, service) -> None:
    service.pool = 10
    batch = send(server.url, "search_batch", ["裙"] * 70, 1000)
    assert len(batch) == 70
    assert [len(body["queries"]) for _, _, body in service.posts] == [32, 32, 6]


def check_outcomes(outcomes: list[Hits | ServiceError]) -> None:
    first, refused, last = outcomes
    assert isinstance(first, Hits)
    assert isinstance(last, Hits)
    assert isinstance(refused, ServiceError)
    assert (refused.code, refused.status, refused.transient) == ("empty_query", 422, False)
    assert str(refused) == "Nothing is left."


def test_a_partial_batch_has_errors_in_their_places(server, service) -> None:
    service.refuses = {" ": "empty_query"}
    with Client(server.url, policy=FAST) as client:
        check_outcomes(client.search_batch(["裙", " ", "鞋"], 2, partial=True))
        with pytest.raises(ServiceError) as error:
            client.search_batch(["裙", " ", "鞋"], 2)
    assert error.value.code == "empty_query"
    assert [body.get("partial") for _, _, body in service.posts] == [True, None]


async def test_a_partial_batch_of_the_async_client(server, service) -> None:
    service.refuses = {" ": "empty_query"}
    async with AsyncClient(server.url, policy=FAST) as client:
        check_outcomes(await client.search_batch(["裙", " ", "鞋"], 2, partial=True))


def test_a_split_batch_never_mixes_two_versions(send: Send, server, service) -> None:
    def swap(number: int) -> None:
        service.version = "v2" if number == 2 else "v1"

    service.on_post = swap
    with pytest.raises(IndexChanged, match="from index v1 to v2"):
        send(server.url, "search_batch", ["裙"] * 600)


def test_embeddings_of_texts_and_images(send: Send, server, service, tmp_path: Path) -> None:
    texts = ["裙" * (number % 9) for number in range(300)]
    assert send(server.url, "embed_texts", texts) == [service.vector(text) for text in texts]
    (tmp_path / "shoe.jpg").write_bytes(b"\xff\xd8")
    vectors = send(server.url, "embed_images", [b"\xff\xd8", tmp_path / "shoe.jpg"])
    assert len(vectors) == 2
    inputs = service.posts[-1][2]["input"]
    assert inputs == ["data:image/jpeg;base64,/9g="] * 2
    assert [len(body["input"]) for _, _, body in service.posts] == [256, 44, 2]


def test_embeddings_of_two_models_are_an_error(send: Send, server, service) -> None:
    def swap(number: int) -> None:
        service.version = f"v{number}"

    service.on_post = swap
    with pytest.raises(IndexChanged, match="changed its model"):
        send(server.url, "embed_texts", ["裙"] * 300)


def test_items_and_their_images(send: Send, server) -> None:
    assert send(server.url, "item", 7) == {"item_id": 7, "image": "/items/7/image"}
    assert send(server.url, "item_image", 7) == b"image of /items/7/image"
    assert send(server.url, "item_image", "a/图.jpg") == b"image of /items/a%2F%E5%9B%BE.jpg/image"


def test_reload_waits_longer_than_a_search(send: Send, server, service) -> None:
    reloaded = {"status": "unchanged", "index_version": "v1"}
    assert send(server.url, "reload", policy=RetryPolicy(timeout=0.1)) == reloaded
    [(path, headers, _)] = service.posts
    assert (path, headers["X-Request-Timeout-Ms"]) == ("/admin/reload", str(MAX_TIMEOUT_MS))


def test_metrics_are_text(send: Send, server) -> None:
    assert send(server.url, "metrics") == "tusou_requests_total 3\n"


def test_info_health_and_ready(send: Send, server) -> None:
    assert send(server.url, "info")["index_version"] == "v1"
    assert send(server.url, "models") == ["ViT-B-16"]
    assert send(server.url, "health") is True
    assert send(server.url, "ready") is True


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://x", "http://", "http://x:99999", "", "http://me:pw@x", "http://x/?y"],
)
def test_a_bad_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8000"):
        Client(url)


@pytest.mark.parametrize("key", ["", "two words", "密钥", "line\n"])
def test_a_bad_key_is_refused_before_anything_is_sent(key: str) -> None:
    with pytest.raises(UsageError, match="printable ASCII"):
        Client(api_key=key)


def test_half_a_character_is_refused_before_anything_is_sent(server, service) -> None:
    with pytest.raises(UsageError, match="surrogate"):
        send_blocking(server.url, "search", "\ud800")
    assert service.posts == []


def test_an_unreadable_image_is_refused_before_anything_is_sent(
    send: Send, server, service, tmp_path: Path
) -> None:
    for method, image in (("embed_images", [tmp_path / "gone.jpg"]), ("embed_images", ["gone"])):
        with pytest.raises(UsageError, match=r"gone.* cannot be read: No such file"):
            send(server.url, method, image)
    assert service.posts == []


def test_many_calls_in_flight_get_their_own_results(server, service) -> None:
    queries = [f"裙{number}" for number in range(50)]

    async def search_all() -> list[Any]:
        async with AsyncClient(server.url, policy=FAST) as client:
            return await asyncio.gather(*(client.search(query, 3) for query in queries))

    results = asyncio.run(search_all())
    assert [list(hits.item_ids) for hits in results] == [
        service.hits(query, 3)["item_ids"] for query in queries
    ]


BLOCKED = (
    "torch",
    "faiss",
    "numpy",
    "fastapi",
    "pydantic",
    "cn_clip",
    "tusou.core.arrays",
    "tusou_service",
)


@pytest.mark.parametrize(
    ("modules", "also_blocked"),
    [
        pytest.param(
            ("tusou_client", "tusou_client.replay", "tusou_client.load"),
            ("typer", "rich"),
            id="library",
        ),
        pytest.param(("tusou_client.cli", "tusou.cli.progress"), (), id="commands"),
    ],
)
def test_needs_nothing_but_httpx(modules: tuple[str, ...], also_blocked: tuple[str, ...]) -> None:
    program = f"""
        import importlib, sys
        for name in {BLOCKED + also_blocked!r}:
            sys.modules[name] = None  # makes every import of it an ImportError
        for name in {modules!r}:
            importlib.import_module(name)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=30)


def test_a_user_key_is_sent_with_every_request(server, service) -> None:
    with Client(server.url, user_key="user-7") as client:
        client.search("裙")
    assert service.posts[0][1]["X-User-Key"] == "user-7"
    with pytest.raises(UsageError):
        Client(server.url, user_key="王 先生")
