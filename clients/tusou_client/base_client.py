"""Settings, requests and retries, which both clients share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

import httpx

from tusou_client import wire
from tusou_client.errors import ClientError, IndexChanged, TimedOut, Unreachable, UsageError
from tusou_client.retry import Attempts, RetryBudget, RetryPolicy
from tusou_client.wire import (
    DEFAULT_URL,
    MAX_TIMEOUT_MS,
    Call,
    Embeddings,
    QueryEncoder,
    Reply,
    Vector,
)

T = TypeVar("T")
Http = TypeVar("Http")
Transport = TypeVar("Transport")
OnRetry = Callable[[ClientError, float], None]  # the error; seconds until the next try

# Extra seconds for the service's own 504 to arrive, which says more than our timeout.
GRACE = 0.25
# Idle connections are dropped before the server closes them (uvicorn: 5 s) under a new request.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
# Codes of the service for a change that it has not begun to apply, or has undone.
_NOT_APPLIED = frozenset({"overloaded", "rate_limited", "request_timeout", "storage_full"})


class BaseClient(ABC, Generic[Http, Transport]):
    """Settings, requests and retries of both clients; every request is safe to repeat.

    A conditional one may be refused then, although its first try was applied: it is only repeated
    when the service says that it was not.
    """

    _http_type: Callable[..., Http]

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        user_key: str | None = None,
        query_encoder: QueryEncoder | None = None,
        policy: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.url = wire.check_url(url)
        self._headers = wire.headers(api_key, user_key, query_encoder)
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget(self._policy.budget)
        self._on_retry = on_retry
        # Loading the certificates costs more than a query, and plain HTTP never reads them.
        tls = self.url.lower().startswith("https:")
        self._http: Http = self._http_type(
            transport=transport, verify=tls, trust_env=False, limits=_LIMITS
        )

    @abstractmethod
    async def _send(self, call: Call[Any], limit: float) -> Reply: ...

    @abstractmethod
    async def _sleep(self, seconds: float) -> None: ...

    async def _call(self, call: Call[T]) -> T:
        policy = self._policy
        if call.timeout is not None:
            policy = replace(policy, timeout=call.timeout, deadline=call.timeout)
        attempts = Attempts(policy, self._budget)
        while True:
            try:
                return call.read(await self._send(call, attempts.timeout()), self.url)
            except ClientError as error:
                if call.conditional and error.code not in _NOT_APPLIED:
                    raise
                pause = attempts.pause_after(error)
                if self._on_retry is not None:
                    self._on_retry(error, pause)
            await self._sleep(pause)

    async def _embed(self, calls: Sequence[Call[Embeddings]]) -> list[Vector]:
        batches = [await self._call(call) for call in calls]
        models = {model for model, _ in batches}
        if len(models) > 1:
            raise IndexChanged(f"The service changed its model between two requests: {models}")
        return [vector for _, vectors in batches for vector in vectors]

    async def _succeeds(self, path: str) -> bool:
        try:
            reply = await self._send(Call("GET", path, bytes), self._policy.timeout)
        except ClientError:
            return False
        return reply.status == httpx.codes.OK

    def _request(self, call: Call[Any], timeout: float) -> httpx.Request:
        timeout_ms = max(1, min(round(timeout * 1000), MAX_TIMEOUT_MS))
        headers = self._headers | {"X-Request-Timeout-Ms": str(timeout_ms)}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.if_match is not None:
            headers["If-Match"] = wire.entity_tag(call.if_match)
        return httpx.Request(
            call.method,
            self.url + call.path,
            headers=headers,
            content=call.body,
            extensions={"timeout": httpx.Timeout(timeout + GRACE).as_dict()},
        )

    @contextmanager
    def _client_errors(self, timeout: float) -> Iterator[None]:
        """Turn the errors of httpx and asyncio into ours."""
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise TimedOut(
                f"{self.url} did not answer within {timeout:.3g} s; it may be overloaded."
            ) from None
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.url!r} is not a usable address: {error}") from None
        except httpx.RequestError as error:
            cause = str(error) or type(error).__name__
            raise Unreachable(
                f"No answer from {self.url} ({cause}). Is `tusou serve` running there?"
            ) from error


def read_reply(response: httpx.Response, body: bytearray) -> Reply:
    """Return what `Call.read` takes of a response whose body has been read."""
    etag = response.headers.get("ETag")
    return Reply(
        response.status_code,
        bytes(body),
        response.headers.get("Retry-After"),
        etag.removeprefix("W/").strip('"') if etag else None,
    )
