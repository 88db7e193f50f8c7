"""The clients of a Tusou service: `Client`, and `AsyncClient` for asyncio."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self, TypeVar, Unpack

import httpx

from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou_client import wire
from tusou_client.errors import ClientError, UsageError
from tusou_client.retry import Attempts, RetryBudget, RetryPolicy
from tusou_client.wire import (
    DEFAULT_URL,
    BatchOptions,
    Call,
    ImageFile,
    Reply,
    SearchOptions,
    Vector,
)

T = TypeVar("T")
OnRetry = Callable[[ClientError, float], None]  # the error; seconds until the next try

# Extra seconds for the service's own 504 to arrive, which says more than our timeout.
_GRACE = 0.25
# Idle connections are dropped before the server closes them (uvicorn: 5 s) under a new request.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
# A reload verifies and warms a whole bundle.
_RELOAD_SECONDS = 600.0


class _BaseClient:
    """Settings and requests of both clients; every request is safe to repeat."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        policy: RetryPolicy | None,
        on_retry: OnRetry | None,
        user_key: str | None,
    ) -> None:
        self.url = wire.check_url(url)
        # Loading the certificates costs more than a query, and plain HTTP never reads them.
        self._tls = self.url.lower().startswith("https:")
        self._headers = wire.headers(api_key, user_key)
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget(self._policy.budget)
        self._on_retry = on_retry

    def _attempts(self, timeout: float | None) -> Attempts:
        policy = self._policy
        if timeout is not None:
            policy = replace(policy, timeout=timeout, deadline=timeout)
        return Attempts(policy, self._budget)

    def _pause_after(self, attempts: Attempts, error: ClientError) -> float:
        pause = attempts.pause_after(error)
        if self._on_retry is not None:
            self._on_retry(error, pause)
        return pause

    def _request(self, call: Call[T], timeout: float) -> httpx.Request:
        headers = self._headers | wire.timeout_header(timeout)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return httpx.Request(
            call.method,
            self.url + call.path,
            headers=headers,
            content=call.body,
            extensions={"timeout": httpx.Timeout(timeout + _GRACE).as_dict()},
        )

    @contextmanager
    def _client_errors(self, timeout: float) -> Iterator[None]:
        """Turn the errors of httpx and asyncio into ours."""
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise wire.timed_out(self.url, timeout) from None
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.url!r} is not a usable address: {error}") from None
        except httpx.RequestError as error:
            raise wire.unreachable(self.url, error) from error


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
        self, query: str | None = None, top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> Hits:
        """Return the best items for a text, an image (bytes or a path), an item, or a mixture."""
        return self._call(wire.search(query, top_k, options))

    def search_batch(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[BatchOptions]
    ) -> list[Hits]:
        """Return the hits of each query, in order and all from one index version.

        More than 256 queries are sent as several requests; IndexChanged if the service changes its
        index in between.
        """
        hits: list[Hits] = []
        for call in wire.search_batches(queries, top_k, options):
            wire.join_hits(hits, self._call(call))
        return hits

    def embed_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Return the unit vectors of texts as queries are encoded; long lists are split."""
        return wire.join_vectors([self._call(call) for call in wire.embed_texts(texts)])

    def embed_images(self, images: Sequence[ImageFile]) -> list[Vector]:
        """Return the unit vectors of images, given as bytes or paths; long lists are split."""
        return wire.join_vectors([self._call(call) for call in wire.embed_images(images)])

    def item(self, item_id: ItemId) -> dict[str, object]:
        """Return an item's `item_id`, and its `text` or the path of its `image`."""
        return self._call(wire.item(item_id))

    def item_image(self, item_id: ItemId) -> bytes:
        """Return the bytes of an item's image."""
        return self._call(wire.item_image(item_id))

    def info(self) -> dict[str, object]:
        """Return the service's model, index, counts and versions."""
        return self._call(wire.info())

    def metrics(self) -> str:
        """Return the service's counters in Prometheus' text format."""
        return self._call(wire.metrics())

    def reload(self, time_limit: float = _RELOAD_SECONDS) -> dict[str, object]:
        """Make the service load its bundle's current version within `time_limit` seconds.

        Returns its `status` (`swapped` or `unchanged`), `index_version` and `previous_version`.
        """
        return self._call(wire.reload(time_limit))

    def health(self) -> bool:
        """Return whether the service's process answers, after one try."""
        return self._succeeds(wire.health())

    def ready(self) -> bool:
        """Return whether the service is ready to answer queries, after one try."""
        return self._succeeds(wire.ready())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, call: Call[T]) -> T:
        attempts = self._attempts(call.timeout)
        while True:
            try:
                return call.read(self._send(call, attempts.timeout()), self.url)
            except ClientError as error:
                pause = self._pause_after(attempts, error)
            time.sleep(pause)

    def _succeeds(self, call: Call[None]) -> bool:
        try:
            return self._send(call, self._policy.timeout).status == httpx.codes.OK
        except ClientError:
            return False

    def _send(self, call: Call[T], timeout: float) -> Reply:
        end = time.monotonic() + timeout + _GRACE
        with self._client_errors(timeout):
            response = self._http.send(self._request(call, timeout), stream=True)
            try:
                body = bytearray()
                for part in response.iter_bytes():
                    body += wire.within_limit(part, len(body))
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
        self, query: str | None = None, top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> Hits:
        """Return the best items for a text, an image (bytes or a path), an item, or a mixture."""
        return await self._call(wire.search(query, top_k, options))

    async def search_batch(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[BatchOptions]
    ) -> list[Hits]:
        """Return the hits of each query, in order and all from one index version.

        More than 256 queries are sent as several requests; IndexChanged if the service changes its
        index in between.
        """
        hits: list[Hits] = []
        for call in wire.search_batches(queries, top_k, options):
            wire.join_hits(hits, await self._call(call))
        return hits

    async def embed_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Return the unit vectors of texts as queries are encoded; long lists are split."""
        return wire.join_vectors([await self._call(call) for call in wire.embed_texts(texts)])

    async def embed_images(self, images: Sequence[ImageFile]) -> list[Vector]:
        """Return the unit vectors of images, given as bytes or paths; long lists are split."""
        return wire.join_vectors([await self._call(call) for call in wire.embed_images(images)])

    async def item(self, item_id: ItemId) -> dict[str, object]:
        """Return an item's `item_id`, and its `text` or the path of its `image`."""
        return await self._call(wire.item(item_id))

    async def item_image(self, item_id: ItemId) -> bytes:
        """Return the bytes of an item's image."""
        return await self._call(wire.item_image(item_id))

    async def info(self) -> dict[str, object]:
        """Return the service's model, index, counts and versions."""
        return await self._call(wire.info())

    async def metrics(self) -> str:
        """Return the service's counters in Prometheus' text format."""
        return await self._call(wire.metrics())

    async def reload(self, time_limit: float = _RELOAD_SECONDS) -> dict[str, object]:
        """Make the service load its bundle's current version within `time_limit` seconds.

        Returns its `status` (`swapped` or `unchanged`), `index_version` and `previous_version`.
        """
        return await self._call(wire.reload(time_limit))

    async def health(self) -> bool:
        """Return whether the service's process answers, after one try."""
        return await self._succeeds(wire.health())

    async def ready(self) -> bool:
        """Return whether the service is ready to answer queries, after one try."""
        return await self._succeeds(wire.ready())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(self, call: Call[T]) -> T:
        attempts = self._attempts(call.timeout)
        while True:
            try:
                return call.read(await self._send(call, attempts.timeout()), self.url)
            except ClientError as error:
                pause = self._pause_after(attempts, error)
            await asyncio.sleep(pause)

    async def _succeeds(self, call: Call[None]) -> bool:
        try:
            return (await self._send(call, self._policy.timeout)).status == httpx.codes.OK
        except ClientError:
            return False

    async def _send(self, call: Call[T], limit: float) -> Reply:
        with self._client_errors(limit):
            async with asyncio.timeout(limit + _GRACE):
                response = await self._http.send(self._request(call, limit), stream=True)
                try:
                    body = bytearray()
                    async for part in response.aiter_bytes():
                        body += wire.within_limit(part, len(body))
                finally:
                    await response.aclose()
        return _reply(response, body)


def _reply(response: httpx.Response, body: bytearray) -> Reply:
    return Reply(response.status_code, bytes(body), response.headers.get("Retry-After"))
