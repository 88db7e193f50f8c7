"""Both clients against a real server that misbehaves: retries, refusals and time limits."""

import json
import socket
from typing import Any

import pytest
from tusou_client import ClientError, RetryPolicy, ServiceError, wire
from tusou_client.errors import TimedOut, Unreachable
from tusou_client.retry import Attempts, RetryBudget
from tusou_client.wire import MAX_TIMEOUT_MS, Reply

from tests.tusou_client.sending import Send
from tusou.core.errors import ErrorDetail, TusouError


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


def test_the_time_limit_sent_is_never_over_the_service_s_own(send: Send, server, service) -> None:
    send(server.url, "search", "裙", policy=RetryPolicy(timeout=90, deadline=90))
    assert service.posts[0][1]["X-Request-Timeout-Ms"] == str(MAX_TIMEOUT_MS)


def test_every_error_is_a_client_error_with_a_code_of_its_own() -> None:
    from tusou_client import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    own = [cls for cls in classes if cls.__module__ == errors.__name__]
    assert all(issubclass(cls, ClientError) for cls in own)
    codes = [cls.code for cls in own if cls is not ServiceError]
    assert len(codes) == 10
    assert len(set(codes)) == len(codes)
