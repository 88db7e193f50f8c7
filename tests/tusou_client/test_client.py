"""Both clients against a real server that misbehaves."""

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from tusou_client import (
    AsyncClient,
    Client,
    ClientError,
    RetryPolicy,
    ServiceError,
)
from tusou_client import (
    wire as protocol,
)
from tusou_client.errors import BadReply, TimedOut, Unreachable, UsageError
from tusou_client.retry import Attempts, RetryBudget
from tusou_client.wire import MAX_TIMEOUT_MS, Reply

FAST = RetryPolicy(timeout=5.0, base=0.001)
Query = Callable[..., Any]


def ask_blocking(url: str, method: str, *args: object, **options: Any) -> Any:
    with Client(url, **{"policy": FAST} | options) as client:
        return getattr(client, method)(*args)


def ask_async(url: str, method: str, *args: object, **options: Any) -> Any:
    async def ask() -> Any:
        async with AsyncClient(url, **{"policy": FAST} | options) as client:
            return await getattr(client, method)(*args)

    return asyncio.run(ask())


@pytest.fixture(params=[ask_blocking, ask_async])
def ask(request: pytest.FixtureRequest) -> Query:
    return request.param


def test_search(ask: Query, server, service) -> None:
    hits = ask(server.url, "search", "纯棉碎花吊带裙", 3)
    expected = service.hits("纯棉碎花吊带裙", 3)
    assert hits.item_ids == tuple(expected["item_ids"])
    assert hits.scores == (0.9, 0.899, 0.898)
    assert (hits.truncated, hits.index_version) == (False, "v1")


def test_a_request_is_what_the_contract_says(ask: Query, server, service) -> None:
    ask(server.url + "/", "search_batch", ["裙", "鞋"], 5, api_key="secret-1")
    [(path, headers, body)] = service.posts
    assert (path, body) == ("/search/batch", {"queries": ["裙", "鞋"], "top_k": 5})
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer secret-1"
    assert headers["X-Request-Timeout-Ms"] == "5000"


def test_everything_a_search_may_say(ask: Query, server, service) -> None:
    more = {"image": b"\xff\xd8", "negative": "红", "negative_weight": 0.25, "exclude": [1, "2"]}
    asked = protocol.search("裙", 3, more)  # type: ignore[arg-type]
    assert json.loads(asked.body or b"") == {
        "query": "裙",
        "top_k": 3,
        "image": "/9g=",
        "negative": "红",
        "negative_weight": 0.25,
        "exclude": [1, "2"],
    }
    assert json.loads(protocol.search(None, 3, {"item_id": 7}).body or b"") == {
        "top_k": 3,
        "item_id": 7,
    }
    assert ask(server.url, "search", "裙", 3).negative is None


def test_what_was_understood_comes_back() -> None:
    answer = {
        "item_ids": [1],
        "scores": [0.5],
        "truncated": False,
        "index_version": "v2",
        "interpreted": {"positive": "裙", "negative": "红"},
        "version_changed": True,
    }
    read = protocol.search("裙不要红", 1).read
    hits = read(Reply(200, json.dumps(answer).encode()), "http://service")
    assert (hits.positive, hits.negative, hits.version_changed) == ("裙", "红", True)
    answer["interpreted"] = {"positive": 1}
    with pytest.raises(BadReply):
        read(Reply(200, json.dumps(answer).encode()), "http://service")


def test_a_batch_keeps_order_and_shares_one_version(ask: Query, server, service) -> None:
    answers = ask(server.url, "search_batch", ["裙", "鞋", "x" * 60])
    assert [list(hits.item_ids) for hits in answers] == [
        service.hits(query, 10)["item_ids"] for query in ("裙", "鞋", "x" * 60)
    ]
    assert [hits.truncated for hits in answers] == [False, False, True]
    assert {hits.index_version for hits in answers} == {"v1"}


def test_info_and_ready(ask: Query, server) -> None:
    assert ask(server.url, "info") == {"index_version": "v1"}
    assert ask(server.url, "ready") is True


def test_not_ready_while_nobody_is_there(ask: Query) -> None:
    assert ask(closed_port(), "ready") is False


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
def test_a_passing_fault_is_not_noticed(ask: Query, server, service, faults, fault: Any) -> None:
    service.faults = [fault(faults)] * 2
    hits = ask(server.url, "search", "裙", 2)
    assert list(hits.item_ids) == service.hits("裙", 2)["item_ids"]
    assert len(service.posts) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 413, 415, 422])
def test_a_refusal_is_final_and_keeps_its_code(
    ask: Query, server, service, faults, status: int
) -> None:
    service.faults = [faults.problem(status, "some_code", request_id="r-7")]
    with pytest.raises(ServiceError, match=r"Said so\. \[request r-7\]") as raised:
        ask(server.url, "search", "裙")
    assert (raised.value.code, raised.value.status, raised.value.tries) == ("some_code", status, 1)
    assert len(service.posts) == 1


def test_a_refusal_without_a_problem_body_has_a_code_too(
    ask: Query, server, service, faults
) -> None:
    service.faults = [faults.reply(404, b"Not Found")]
    with pytest.raises(ServiceError, match="Is that the address of a Tusou service") as raised:
        ask(server.url, "search", "裙")
    assert raised.value.code == "http_404"


def test_a_fault_that_stays_is_reported_after_five_tries(
    ask: Query, server, service, faults
) -> None:
    service.faults = [faults.problem(503, "overloaded")] * 5
    with pytest.raises(ServiceError, match=r"\(tried 5 times\)$") as raised:
        ask(server.url, "search", "裙")
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
        protocol.search("裙", 10).read(Reply(503, problem, header), "http://service")
    attempts = Attempts(RetryPolicy(base=0.0), RetryBudget(None))
    assert attempts.pause_after(raised.value) == pause


def test_a_wait_beyond_the_deadline_is_not_begun(ask: Query, server, service, faults) -> None:
    service.faults = [faults.reply(503, b"", Retry_After="3600")]
    with pytest.raises(ServiceError):
        ask(server.url, "search", "裙")


@pytest.mark.parametrize("kind", ["stall", "drip"])
def test_a_server_that_never_finishes_is_a_timeout(
    ask: Query, server, service, faults, kind: str
) -> None:
    service.faults = [getattr(faults, kind)]
    with pytest.raises(TimedOut, match=r"did not answer within 0\.1 s"):
        ask(server.url, "search", "裙", policy=RetryPolicy(timeout=0.1, tries=1))


def test_nobody_listening_says_what_to_do(ask: Query) -> None:
    with pytest.raises(Unreachable, match="Is `tusou serve` running there"):
        ask(closed_port(), "search", "裙")


def test_on_retry_hears_of_every_retry(ask: Query, server, service, faults) -> None:
    heard: list[str] = []
    service.faults = [faults.problem(503, "overloaded"), faults.reset]
    ask(server.url, "search", "裙", on_retry=lambda error, _: heard.append(error.code))
    assert heard == ["overloaded", "unreachable"]


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
        ask_blocking(server.url, "search", "裙", 2, policy=RetryPolicy(tries=1))


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
        ask_blocking(server.url, "search_batch", ["裙"], policy=RetryPolicy(tries=1))


def test_a_reply_without_end_is_cut_off(
    ask: Query, server, service, faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_REPLY_BYTES", 1000)
    service.faults = [faults.reply(200, b" " * 1001)]
    with pytest.raises(BadReply, match="more than 1000 bytes"):
        ask(server.url, "search", "裙", policy=RetryPolicy(tries=1))


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://x", "http://", "http://x:99999", "", "http://me:pw@x", "http://x/?y"],
)
def test_a_bad_address_is_told_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8000"):
        Client(url)


@pytest.mark.parametrize("key", ["", "two words", "密钥", "line\n"])
def test_a_bad_key_is_told_before_anything_is_sent(key: str) -> None:
    with pytest.raises(UsageError, match="printable ASCII"):
        Client(api_key=key)


def test_half_a_character_is_told_before_anything_is_sent(server, service) -> None:
    with pytest.raises(UsageError, match="surrogate"):
        ask_blocking(server.url, "search", "\ud800")
    assert service.posts == []


def test_the_service_is_never_told_more_than_it_takes(ask: Query, server, service) -> None:
    ask(server.url, "search", "裙", policy=RetryPolicy(timeout=90, deadline=90))
    assert service.posts[0][1]["X-Request-Timeout-Ms"] == str(MAX_TIMEOUT_MS)


def test_many_calls_in_flight_get_their_own_answers(server, service) -> None:
    queries = [f"裙{number}" for number in range(50)]

    async def ask_all() -> list[Any]:
        async with AsyncClient(server.url, policy=FAST) as client:
            return await asyncio.gather(*(client.search(query, 3) for query in queries))

    answers = asyncio.run(ask_all())
    assert [list(hits.item_ids) for hits in answers] == [
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
    "service",
)


@pytest.mark.parametrize(
    ("modules", "also_blocked"),
    [
        pytest.param(
            ("clients", "tusou_client.replay", "tusou_client.load"), ("typer", "rich"), id="library"
        ),
        pytest.param(("tusou_client.cli", "tusou_client.progress_bar"), (), id="commands"),
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

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, ClientError) for kind in kinds)
    codes = [kind.code for kind in kinds if kind is not ServiceError]
    assert len(set(codes)) == len(codes)


def test_a_user_key_goes_with_every_request(server, service) -> None:
    with Client(server.url, user_key="user-7") as client:
        client.search("裙")
    assert service.posts[0][1]["X-User-Key"] == "user-7"
    with pytest.raises(UsageError):
        Client(server.url, user_key="王 先生")
