"""Both clients against a real server that misbehaves."""

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tusou_client import AsyncClient, Client, ClientError, RetryPolicy, ServiceError, wire
from tusou_client.errors import BadReply, IndexChanged, TimedOut, Unreachable, UsageError
from tusou_client.retry import Attempts, RetryBudget
from tusou_client.wire import MAX_TIMEOUT_MS, Reply

from tusou.core.errors import ErrorDetail, TusouError
from tusou.core.hits import Hits

FAST = RetryPolicy(timeout=5.0, base=0.001)
Send = Callable[..., Any]


def send_blocking(url: str, method: str, *args: object, **settings: Any) -> Any:
    with Client(url, **{"policy": FAST} | settings) as client:
        return getattr(client, method)(*args)


def send_async(url: str, method: str, *args: object, **settings: Any) -> Any:
    async def send() -> Any:
        async with AsyncClient(url, **{"policy": FAST} | settings) as client:
            return await getattr(client, method)(*args)

    return asyncio.run(send())


@pytest.fixture(params=[send_blocking, send_async])
def send(request: pytest.FixtureRequest) -> Send:
    return request.param


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


def test_every_field_of_a_search(send: Send, server, tmp_path: Path) -> None:
    (tmp_path / "shoe.jpg").write_bytes(b"\xff\xd8")
    fields = {"negative": "红", "negative_weight": 0.25, "exclude": [1, "2"]}
    by_bytes = wire.search("裙", 3, {"image": b"\xff\xd8"} | fields)  # type: ignore[arg-type]
    by_path = wire.search("裙", 3, {"image": tmp_path / "shoe.jpg"} | fields)  # type: ignore[arg-type]
    assert by_bytes.body == by_path.body
    assert json.loads(by_bytes.body or b"") == {
        "query": "裙",
        "top_k": 3,
        "image": "/9g=",
        "negative": "红",
        "negative_weight": 0.25,
        "exclude": [1, "2"],
    }
    assert json.loads(wire.search(None, 3, {"item_id": 7}).body or b"") == {
        "top_k": 3,
        "item_id": 7,
    }
    assert send(server.url, "search", "裙", 3).negative is None


def test_an_interpreted_query_is_reported() -> None:
    reply = {
        "item_ids": [1],
        "scores": [0.5],
        "truncated": False,
        "index_version": "v2",
        "interpreted": {"positive": "裙", "negative": "红"},
        "version_changed": True,
    }
    read = wire.search("裙不要红", 1).read
    hits = read(Reply(200, json.dumps(reply).encode()), "http://service")
    assert (hits.positive, hits.negative, hits.version_changed) == ("裙", "红", True)
    reply["interpreted"] = {"positive": 1}
    with pytest.raises(BadReply):
        read(Reply(200, json.dumps(reply).encode()), "http://service")


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


@pytest.mark.parametrize(
    "result", [{"problem": None}, {"problem": {"code": "a"}}, {"problem": {"status": "4"}}, {}]
)
def test_a_garbled_outcome_is_a_bad_reply(result: dict[str, object]) -> None:
    [call] = wire.search_batches(["裙"], 5, partial=True)
    body = json.dumps({"results": [result], "index_version": "v1"}).encode()
    with pytest.raises(BadReply):
        call.read(Reply(200, body), "http://service")


def test_a_key_without_the_scope_of_a_call_says_which_it_lacks() -> None:
    problem = {
        "status": 403,
        "code": "forbidden",
        "detail": "The API key has other scopes than this call needs; see errors.",
        "errors": [
            {
                "loc": ["header", "Authorization"],
                "type": "scope",
                "detail": "Needs the scope admin.",
            }
        ],
    }
    with pytest.raises(ServiceError, match=r"Needs the scope admin\..* key file") as error:
        wire.models().read(Reply(403, json.dumps(problem).encode()), "http://service")
    assert (error.value.code, error.value.transient) == ("forbidden", False)


def test_a_refusal_says_what_is_wrong_with_the_request() -> None:
    detail = "A value has the wrong type, range or name; see errors."
    error = {"loc": ["body", "top_k"], "type": "greater", "detail": "Input should be above 0"}
    problem = {"status": 422, "code": "invalid_request", "detail": detail, "errors": [error] * 2}
    with pytest.raises(ServiceError) as caught:
        wire.models().read(Reply(422, json.dumps(problem).encode()), "http://service")
    assert caught.value.detail == detail
    assert str(caught.value) == (
        "http://service answered: A value has the wrong type, range or name "
        "(top_k: Input should be above 0, and 1 more)."
    )


@pytest.mark.parametrize("body", ["{}", '{"data": [5]}', '{"data": [{"id": 5}]}', "[]"])
def test_a_garbled_list_of_models_is_a_bad_reply(body: str) -> None:
    with pytest.raises(BadReply):
        wire.models().read(Reply(200, body.encode()), "http://service")


def test_a_split_batch_never_mixes_two_versions(send: Send, server, service) -> None:
    def swap(number: int) -> None:
        service.version = "v2" if number == 2 else "v1"

    service.on_post = swap
    with pytest.raises(IndexChanged, match="from index v1 to v2"):
        send(server.url, "search_batch", ["裙"] * 600)


def test_every_field_of_a_batch() -> None:
    options = {"offset": 5, "exclude": [1, "2"], "interpret": False, "index_version": "v1"}
    [call] = wire.search_batches(["不带拉链的包"], 5, options)  # type: ignore[arg-type]
    assert json.loads(call.body or b"") == {"queries": ["不带拉链的包"], "top_k": 5, **options}
    result = GOOD | {"interpreted": {"positive": "包", "negative": "拉链"}}
    body = {"results": [result], "index_version": "v", "version_changed": True}
    [hits] = call.read(Reply(200, json.dumps(body).encode()), "http://service")
    assert (hits.positive, hits.negative, hits.version_changed) == ("包", "拉链", True)


def test_embeddings_of_texts_and_images(send: Send, server, service, tmp_path: Path) -> None:
    texts = ["裙" * (number % 9) for number in range(300)]
    assert send(server.url, "embed_texts", texts) == [service.vector(text) for text in texts]
    (tmp_path / "shoe.jpg").write_bytes(b"\xff\xd8")
    vectors = send(server.url, "embed_images", [b"\xff\xd8", tmp_path / "shoe.jpg"])
    assert len(vectors) == 2
    inputs = service.posts[-1][2]["input"]
    assert inputs == ["data:image/jpeg;base64,/9g="] * 2
    assert [len(body["input"]) for _, _, body in service.posts] == [256, 44, 2]


def test_images_are_sent_16_or_16_mib_at_once() -> None:
    def sizes(images: list[bytes]) -> list[int]:
        return [len(json.loads(call.body or b"")["input"]) for call in wire.embed_images(images)]

    assert sizes([b"x"] * 35) == [16, 16, 3]
    assert sizes([b"x" * 8 * 2**20] * 3) == [1, 1, 1]
    assert sizes([]) == []


def test_embeddings_of_two_models_are_an_error(send: Send, server, service) -> None:
    def swap(number: int) -> None:
        service.version = f"v{number}"

    service.on_post = swap
    with pytest.raises(IndexChanged, match="changed its model"):
        send(server.url, "embed_texts", ["裙"] * 300)


@pytest.mark.parametrize("embedding", [None, "", "AAA=", "AADAfw==", "裙", [0.5]])
def test_a_wrong_embedding_is_an_error(embedding: object) -> None:
    [call] = wire.embed_texts(["裙"])
    body = json.dumps({"data": [{"embedding": embedding}], "model": "m"}).encode()
    with pytest.raises(BadReply):
        call.read(Reply(200, body), "http://service")


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
    assert send(server.url, "info") == {"index_version": "v1"}
    assert send(server.url, "models") == ["ViT-B-16"]
    assert send(server.url, "health") is True
    assert send(server.url, "ready") is True


def test_a_closed_port_is_neither_healthy_nor_ready(send: Send) -> None:
    assert send(closed_port(), "health") is False
    assert send(closed_port(), "ready") is False


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


PASSING_FAULTS = {
    "reset": lambda faults: faults.reset,
    "cut-short": lambda faults: faults.cut_short,
    "bad-gzip": lambda faults: faults.bad_gzip,
    "half-json": lambda faults: faults.reply(200, b'{"item_ids": [1,'),
    "nan": lambda faults: faults.reply(200, b'{"item_ids": [1], "scores": [NaN]}'),
    "html": lambda faults: faults.reply(200, b"<html>Welcome to nginx</html>"),
    "html-502": lambda faults: faults.reply(502, b"<html>Bad Gateway</html>"),
    "500": lambda faults: faults.problem(500, "internal"),
    "503": lambda faults: faults.problem(503, "overloaded", retry_after_ms=1),
    "504": lambda faults: faults.problem(504, "deadline_exceeded"),
    "429": lambda faults: faults.reply(429, b"", Retry_After="0"),
    "408": lambda faults: faults.reply(408, b""),
    "425": lambda faults: faults.reply(425, b""),
    "not-utf-8": lambda faults: faults.reply(200, b'{"a": "\xff"}'),
}


@pytest.mark.parametrize("fault", PASSING_FAULTS.values(), ids=PASSING_FAULTS)
def test_a_passing_fault_is_retried(send: Send, server, service, faults, fault: Any) -> None:
    service.faults = [fault(faults)] * 2
    hits = send(server.url, "search", "裙", 2)
    assert list(hits.item_ids) == service.hits("裙", 2)["item_ids"]
    assert len(service.posts) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 413, 415, 422])
def test_a_refusal_is_final_and_keeps_its_code(
    send: Send, server, service, faults, status: int
) -> None:
    service.faults = [faults.problem(status, "some_code", request_id="r-7")]
    with pytest.raises(ServiceError, match=r"Said so\. \[request r-7\]") as raised:
        send(server.url, "search", "裙")
    assert (raised.value.code, raised.value.status, raised.value.tries) == ("some_code", status, 1)
    assert len(service.posts) == 1


def test_a_refusal_carries_the_fields_of_its_problem(send: Send, server, service, faults) -> None:
    errors = [
        {"loc": ["body", "top_k"], "type": "less_than_equal", "detail": "Input should be less"},
        {"loc": ["body", "queries", 3], "type": "empty_query"},
        {"loc": "body", "type": "not as documented"},
        "not as documented",
    ]
    service.faults = [faults.problem(422, "invalid_request", request_id="r-7", errors=errors)]
    with pytest.raises(TusouError) as raised:
        send(server.url, "search", "裙", 2000)
    error = raised.value
    assert isinstance(error, ServiceError)
    assert (error.code, error.status, error.request_id) == ("invalid_request", 422, "r-7")
    assert (error.retry_after, error.detail) == (None, "Said so.")
    assert error.errors == (
        ErrorDetail(("body", "top_k"), "less_than_equal", "Input should be less"),
        ErrorDetail(("body", "queries", 3), "empty_query"),
    )


def test_a_refusal_without_a_problem_body_has_a_code_too(
    send: Send, server, service, faults
) -> None:
    service.faults = [faults.reply(404, b"Not Found")]
    with pytest.raises(ServiceError, match="Is that the address of a Tusou service") as raised:
        send(server.url, "search", "裙")
    assert raised.value.code == "http_404"


def test_a_fault_that_stays_is_reported_after_five_tries(
    send: Send, server, service, faults
) -> None:
    service.faults = [faults.problem(503, "overloaded")] * 5
    with pytest.raises(ServiceError, match=r"\(tried 5 times\)$") as raised:
        send(server.url, "search", "裙")
    assert raised.value.code == "overloaded"
    assert len(service.posts) == 5


@pytest.mark.parametrize(
    ("body", "header", "pause"),
    [
        pytest.param({"retry_after_ms": 40}, None, 0.04, id="body"),
        pytest.param({"retry_after_ms": 70}, "9", 0.07, id="body-is-finer"),
        pytest.param({}, "2", 2.0, id="header"),
        pytest.param({}, "Sat, 21 Nov 2026 00:00:00 GMT", 0.0, id="date-is-skipped"),
        pytest.param({"retry_after_ms": -5}, "-5", 0.0, id="nonsense"),
        pytest.param({"retry_after_ms": 10**400}, None, 0.0, id="huge"),
    ],
)
def test_waits_as_long_as_the_service_asks(
    body: dict[str, int], header: str | None, pause: float
) -> None:
    problem = json.dumps({"code": "overloaded"} | body).encode()
    with pytest.raises(ServiceError) as raised:
        wire.search("裙", 10).read(Reply(503, problem, header), "http://service")
    attempts = Attempts(RetryPolicy(base=0.0), RetryBudget(None))
    assert attempts.pause_after(raised.value) == pause


def test_a_wait_beyond_the_deadline_is_not_begun(send: Send, server, service, faults) -> None:
    service.faults = [faults.reply(503, b"", Retry_After="3600")]
    with pytest.raises(ServiceError):
        send(server.url, "search", "裙")


@pytest.mark.parametrize("kind", ["stall", "drip"])
def test_a_server_that_never_finishes_is_a_timeout(
    send: Send, server, service, faults, kind: str
) -> None:
    service.faults = [getattr(faults, kind)]
    with pytest.raises(TimedOut, match=r"did not answer within 0\.1 s"):
        send(server.url, "search", "裙", policy=RetryPolicy(timeout=0.1, tries=1))


def test_a_closed_port_says_what_to_do(send: Send) -> None:
    with pytest.raises(Unreachable, match="Is `tusou serve` running there"):
        send(closed_port(), "search", "裙")


def test_on_retry_is_called_before_every_retry(send: Send, server, service, faults) -> None:
    codes: list[str] = []
    service.faults = [faults.problem(503, "overloaded"), faults.reset]
    send(server.url, "search", "裙", on_retry=lambda error, _: codes.append(error.code))
    assert codes == ["overloaded", "unreachable"]


GOOD = {"item_ids": [1, 2], "scores": [0.5, 0.4], "truncated": False, "index_version": "v"}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"item_ids": None}, id="no-ids"),
        pytest.param({"item_ids": [1, 1.5]}, id="float-id"),
        pytest.param({"item_ids": [1, True]}, id="bool-id"),
        pytest.param({"item_ids": [1, 1]}, id="same-id-twice"),
        pytest.param({"item_ids": ["a", "\ud800"]}, id="half-a-character"),
        pytest.param({"item_ids": [1, 2, 3], "scores": [0.5, 0.4, 0.3]}, id="too-many"),
        pytest.param({"scores": [0.5]}, id="fewer-scores"),
        pytest.param({"scores": [0.5, "0.4"]}, id="text-score"),
        pytest.param({"scores": [0.5, 10**400]}, id="huge-score"),
        pytest.param({"truncated": "no"}, id="truncated"),
        pytest.param({"index_version": None}, id="no-version"),
    ],
)
def test_a_wrong_answer_is_an_error(server, service, faults, wrong: dict[str, object]) -> None:
    service.faults = [faults.reply(200, json.dumps(GOOD | wrong).encode())]
    with pytest.raises(BadReply, match="did not answer as a Tusou service does"):
        send_blocking(server.url, "search", "裙", 2, policy=RetryPolicy(tries=1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"index_version": "v"}', id="no-results"),
        pytest.param(b'{"index_version": "v", "results": []}', id="too-few-results"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_wrong_batch_answer_is_an_error(server, service, faults, body: bytes) -> None:
    service.faults = [faults.reply(200, body)]
    with pytest.raises(BadReply):
        send_blocking(server.url, "search_batch", ["裙"], policy=RetryPolicy(tries=1))


def test_a_reply_without_end_is_cut_off(
    send: Send, server, service, faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_REPLY_BYTES", 1000)
    service.faults = [faults.reply(200, b" " * 1001)]
    with pytest.raises(BadReply, match="more than 1000 bytes"):
        send(server.url, "search", "裙", policy=RetryPolicy(tries=1))


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


def test_the_time_limit_sent_is_never_over_the_service_s_own(send: Send, server, service) -> None:
    send(server.url, "search", "裙", policy=RetryPolicy(timeout=90, deadline=90))
    assert service.posts[0][1]["X-Request-Timeout-Ms"] == str(MAX_TIMEOUT_MS)


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


def test_every_error_is_a_client_error_with_a_code_of_its_own() -> None:
    from tusou_client import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    own = [cls for cls in classes if cls.__module__ == errors.__name__]
    assert all(issubclass(cls, ClientError) for cls in own)
    codes = [cls.code for cls in own if cls is not ServiceError]
    assert len(codes) == 10
    assert len(set(codes)) == len(codes)


def test_a_user_key_is_sent_with_every_request(server, service) -> None:
    with Client(server.url, user_key="user-7") as client:
        client.search("裙")
    assert service.posts[0][1]["X-User-Key"] == "user-7"
    with pytest.raises(UsageError):
        Client(server.url, user_key="王 先生")
