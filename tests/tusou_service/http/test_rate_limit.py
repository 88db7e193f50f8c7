"""Token buckets, with a clock that the tests set."""

import pytest
from fastapi.testclient import TestClient
from tusou_service.http.rate_limit import MAX_CLIENTS, RateLimiter

from tests.tusou_service.tiny import TinySource, connected
from tusou.core.errors import RateLimited


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(limiter: RateLimiter, client: str, times: int) -> list[bool]:
    """Send that many requests, and return which of them were refused."""

    def is_refused() -> bool:
        try:
            limiter.admit(client)
        except RateLimited:
            return True
        return False

    return [is_refused() for _ in range(times)]


def test_a_burst_then_the_rate() -> None:
    clock = ManualClock()
    limiter = RateLimiter(2, 3, clock)
    assert refused(limiter, "a", 4) == [False, False, False, True]
    clock.now += 0.5
    assert refused(limiter, "a", 2) == [False, True]
    clock.now += 60
    assert refused(limiter, "a", 4) == [False, False, False, True]


def test_an_error_says_when_to_retry() -> None:
    limiter = RateLimiter(2, 1, ManualClock())
    limiter.admit("a")
    with pytest.raises(RateLimited) as error:
        limiter.admit("a")
    assert error.value.retry_after == 0.5


def test_clients_have_separate_limits() -> None:
    limiter = RateLimiter(1, 1, ManualClock())
    assert refused(limiter, "a", 5) == [False] + [True] * 4
    assert refused(limiter, "b", 1) == [False]


def test_the_number_of_remembered_clients_is_bounded() -> None:
    limiter = RateLimiter(1, 1, ManualClock())
    for number in range(MAX_CLIENTS + 5):
        limiter.admit(str(number))
    assert len(limiter._buckets) == MAX_CLIENTS


def test_too_many_requests_are_a_429_before_their_body_is_read(source: TinySource) -> None:
    with connected(source, rate_per_s=0.001, rate_burst=2) as client:
        assert [_status(client) for _ in range(4)] == [200, 200, 429, 429]
        response = client.post("/search", content=b"not even JSON")
        assert response.json()["code"] == "rate_limited"
        assert int(response.headers["retry-after"]) > 900
        assert client.get("/readyz").status_code == 200


def _status(client: TestClient) -> int:
    return client.post("/search", json={"query": "a"}).status_code


def test_a_batch_is_charged_for_each_of_its_queries() -> None:
    clock = ManualClock()
    limiter = RateLimiter(2, 3, clock)
    limiter.admit("a")
    limiter.charge("a", 7)  # a batch of 8: 5 more than the client has
    with pytest.raises(RateLimited) as error:
        limiter.admit("a")
    assert error.value.retry_after == 3
    clock.now += 2.5
    assert refused(limiter, "a", 1) == [True]
    clock.now += 0.5
    assert refused(limiter, "a", 2) == [False, True]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search/batch", {"queries": ["裙"] * 30}),
        ("/search/batch", {"queries": ["裙", ""] * 15, "partial": True}),
        ("/v1/embeddings", {"input": ["裙"] * 30}),
    ],
)
def test_the_queries_of_a_call_count_one_by_one(
    source: TinySource, path: str, body: dict[str, object]
) -> None:
    with connected(source, rate_per_s=0.01, rate_burst=20) as client:
        assert client.post(path, json=body).status_code == 200
        response = client.post("/search", json={"query": "裙"})
        assert response.json()["code"] == "rate_limited"
        # 10 queries too many, and the one that is refused: 11 at 100 s each.
        assert 1090 <= int(response.headers["retry-after"]) <= 1100


def test_a_refused_body_counts_once(source: TinySource) -> None:
    with connected(source, rate_per_s=0.001, rate_burst=2) as client:
        assert client.post("/search/batch", json={"queries": [5] * 30}).status_code == 422
        assert _status(client) == 200
