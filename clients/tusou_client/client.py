"""Ask a Tusou service from Python: `Client` and `AsyncClient`, two faces of one protocol."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self, TypeVar, Unpack

import httpx

from tusou.core.hits import Hits
from tusou_client import wire as protocol
from tusou_client.errors import ClientError, UsageError
from tusou_client.retry import Attempts, RetryBudget, RetryPolicy
from tusou_client.wire import DEFAULT_URL, Call, Reply

T = TypeVar("T")
OnRetry = Callable[[ClientError, float], None]  # what failed; seconds until the next try

# The service's own 504 says more than our giving up, so it gets this much longer to arrive.
_GRACE = 0.25
# An idle connection is left before the server closes it (uvicorn: 5 s) under a new request.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)


class _BaseClient:
    """What both clients hold; every request they send is safe to repeat."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        policy: RetryPolicy | None,
        on_retry: OnRetry | None,
        user_key: str | None,
    ) -> None:
        self.url = protocol.check_url(url)
        # Loading the certificates costs more than a query, and plain HTTP never reads them.
        self._tls = self.url.lower().startswith("https:")
        self._headers = protocol.headers(api_key, user_key)
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget(self._policy.budget)
        self._on_retry = on_retry

    def _attempts(self) -> Attempts:
        return Attempts(self._policy, self._budget)

    def _pause_after(self, attempts: Attempts, error: ClientError) -> float:
        pause = attempts.pause_after(error)
        if self._on_retry is not None:
            self._on_retry(error, pause)
        return pause

    def _request(self, call: Call[T], timeout: float) -> httpx.Request:
        head = self._headers | protocol.timeout_header(timeout)
        if call.body is not None:
            head["Content-Type"] = "application/json"
        limits = httpx.Timeout(timeout + _GRACE).as_dict()
        return httpx.Request(
            call.method,
            self.url + call.path,
            headers=head,
            content=call.body,
            extensions={"timeout": limits},
        )

    @contextmanager
    def _plain_errors(self, timeout: float) -> Iterator[None]:
        """Turn what httpx and asyncio raise into our errors."""
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise protocol.timed_out(self.url, timeout) from None
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.url!r} is not a usable address: {error}") from None
        except httpx.RequestError as error:
            raise protocol.unreachable(self.url, error) from error


class Client(_BaseClient):
    """A blocking client; safe to share between threads, close it or use it in a `with`.

    `api_key` is sent as `Authorization: Bearer KEY`, `user_key` as `X-User-Key`: a service of two
    bundles answers one user from one of them. Calls raise ClientError: its `code` is the
    service's own, or `unreachable`, `timeout` or `bad_reply`. Proxy settings of the environment
    are not used; give a `transport` for those.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        user_key: str | None = None,
        policy: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, api_key, policy, on_retry, user_key)
        self._http = httpx.Client(
            transport=transport, verify=self._tls, trust_env=False, limits=_LIMITS
        )

    def search(
        self, query: str | None = None, top_k: int = 10, **more: Unpack[protocol.SearchOptions]
    ) -> Hits:
        """Return the items that match best: a text, an image's bytes, an item, or a mixture."""
        return self._ask(protocol.search(query, top_k, more))

    def search_batch(self, queries: Sequence[str], top_k: int = 10) -> list[Hits]:
        """Return one answer per query, in order and all from one index version."""
        return self._ask(protocol.search_batch(queries, top_k))

    def info(self) -> dict[str, object]:
        """Return what the service says about its model, index and versions."""
        return self._ask(protocol.info())

    def ready(self) -> bool:
        """Tell whether the service is ready to answer, asking once."""
        try:
            reply = self._send(protocol.ready(), self._policy.timeout)
        except ClientError:
            return False
        return reply.status == httpx.codes.OK

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        attempts = self._attempts()
        while True:
            try:
                return call.read(self._send(call, attempts.timeout()), self.url)
            except ClientError as error:
                pause = self._pause_after(attempts, error)
            time.sleep(pause)

    def _send(self, call: Call[T], timeout: float) -> Reply:
        end = time.monotonic() + timeout + _GRACE
        with self._plain_errors(timeout):
            response = self._http.send(self._request(call, timeout), stream=True)
            try:
                body = bytearray()
                for part in response.iter_bytes():
                    body += protocol.within_limit(part, len(body))
                    # httpx limits each read, not their sum: a dripping reply has to end too.
                    if time.monotonic() > end:
                        raise TimeoutError
            finally:
                response.close()
        return _reply(response, body)


class AsyncClient(_BaseClient):
    """The same as `Client` for asyncio; any number of calls may be in flight at once."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        user_key: str | None = None,
        policy: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, api_key, policy, on_retry, user_key)
        self._http = httpx.AsyncClient(
            transport=transport, verify=self._tls, trust_env=False, limits=_LIMITS
        )

    async def search(
        self, query: str | None = None, top_k: int = 10, **more: Unpack[protocol.SearchOptions]
    ) -> Hits:
        """Return the items that match best: a text, an image's bytes, an item, or a mixture."""
        return await self._ask(protocol.search(query, top_k, more))

    async def search_batch(self, queries: Sequence[str], top_k: int = 10) -> list[Hits]:
        """Return one answer per query, in order and all from one index version."""
        return await self._ask(protocol.search_batch(queries, top_k))

    async def info(self) -> dict[str, object]:
        """Return what the service says about its model, index and versions."""
        return await self._ask(protocol.info())

    async def ready(self) -> bool:
        """Tell whether the service is ready to answer, asking once."""
        try:
            reply = await self._send(protocol.ready(), self._policy.timeout)
        except ClientError:
            return False
        return reply.status == httpx.codes.OK

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Call[T]) -> T:
        attempts = self._attempts()
        while True:
            try:
                return call.read(await self._send(call, attempts.timeout()), self.url)
            except ClientError as error:
                pause = self._pause_after(attempts, error)
            await asyncio.sleep(pause)

    async def _send(self, call: Call[T], limit: float) -> Reply:
        with self._plain_errors(limit):
            async with asyncio.timeout(limit + _GRACE):
                response = await self._http.send(self._request(call, limit), stream=True)
                try:
                    body = bytearray()
                    async for part in response.aiter_bytes():
                        body += protocol.within_limit(part, len(body))
                finally:
                    await response.aclose()
        return _reply(response, body)


def _reply(response: httpx.Response, body: bytearray) -> Reply:
    return Reply(response.status_code, bytes(body), response.headers.get("Retry-After"))
