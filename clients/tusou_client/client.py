"""The clients of a Tusou service: `Client`, and `AsyncClient` for asyncio."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    Unpack,
    overload,
)

import httpx

from tusou.core.hits import AttributeValue, Hits
from tusou.core.ids import ItemId
from tusou_client import change_calls, wire
from tusou_client.change_calls import Change, Operation, PutOptions, item_path
from tusou_client.errors import (
    ClientError,
    IndexChanged,
    ServiceError,
    TimedOut,
    Unreachable,
    UsageError,
)
from tusou_client.retry import Attempts, RetryBudget, RetryPolicy
from tusou_client.wire import (
    DEFAULT_URL,
    MAX_TIMEOUT_MS,
    BatchOptions,
    Call,
    Embeddings,
    ImageFile,
    ItemsPage,
    Reply,
    SearchOptions,
    Vector,
    parse_fields,
)

P = ParamSpec("P")
T = TypeVar("T")
Http = TypeVar("Http")
Transport = TypeVar("Transport")
OnRetry = Callable[[ClientError, float], None]  # the error; seconds until the next try

# Extra seconds for the service's own 504 to arrive, which says more than our timeout.
_GRACE = 0.25
# Idle connections are dropped before the server closes them (uvicorn: 5 s) under a new request.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
# A reload verifies and warms a whole bundle.
_RELOAD_SECONDS = 600.0
_PAGE_SIZE = 1000  # items in a request, at most as many
# Codes of the service for a change that it has not begun to apply, or has undone.
_NOT_APPLIED = frozenset({"overloaded", "rate_limited", "request_timeout", "storage_full"})


class _BaseClient(ABC, Generic[Http, Transport]):
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
        policy: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.url = wire.check_url(url)
        self._headers = wire.headers(api_key, user_key)
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
            extensions={"timeout": httpx.Timeout(timeout + _GRACE).as_dict()},
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


class AsyncClient(_BaseClient[httpx.AsyncClient, httpx.AsyncBaseTransport]):
    """The same as `Client` for asyncio; any number of calls may be in flight at once."""

    _http_type = httpx.AsyncClient

    async def search(
        self, query: str | None = None, top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> Hits:
        """Return the best items for a text, an image (bytes or a path), an item, or a mixture."""
        return await self._call(wire.search(query, top_k, options))

    @overload
    async def search_batch(
        self,
        queries: Sequence[str],
        top_k: int = 10,
        *,
        partial: Literal[False] = False,
        **options: Unpack[BatchOptions],
    ) -> list[Hits]: ...
    @overload
    async def search_batch(
        self,
        queries: Sequence[str],
        top_k: int = 10,
        *,
        partial: Literal[True],
        **options: Unpack[BatchOptions],
    ) -> list[Hits | ServiceError]: ...
    async def search_batch(
        self,
        queries: Sequence[str],
        top_k: int = 10,
        *,
        partial: bool = False,
        **options: Unpack[BatchOptions],
    ) -> list[Hits] | list[Hits | ServiceError]:
        """Return the hits of each query, in order and all from one index version.

        With `partial`, a query that the service refuses has its ServiceError in its place;
        otherwise, it fails the whole call. More queries than the service takes in one request are
        sent as several; IndexChanged if the service changes its index in between.
        """
        outcomes: list[Hits | ServiceError] = []
        for call in wire.search_batches(queries, top_k, options, partial=partial):
            part = await self._call(call)
            outcomes += part
            versions = [hits.index_version for hits in outcomes if isinstance(hits, Hits)]
            if versions and versions[0] != versions[-1]:
                raise IndexChanged(
                    f"The service changed from index {versions[0]} to {versions[-1]} "
                    "between two parts of a long batch; search again."
                )
        return outcomes

    async def embed_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Return the unit vectors of texts as queries are encoded; long lists are split."""
        return await self._embed(wire.embed_texts(texts))

    async def embed_images(self, images: Sequence[ImageFile]) -> list[Vector]:
        """Return the unit vectors of images, given as bytes or paths; long lists are split."""
        return await self._embed(wire.embed_images(images))

    async def models(self) -> list[str]:
        """Return the names of the models that encode queries, as OpenAI's clients see them."""
        return await self._call(wire.models())

    async def item(self, item_id: ItemId) -> dict[str, object]:
        """Return an item's `item_id`, `attributes`, `etag`, and `text` or its `image`'s path."""
        return await self._call(change_calls.item(item_id))

    async def items(
        self,
        *,
        filter: Mapping[str, object] | None = None,  # noqa: A002 (as in the HTTP API)
        fields: Sequence[str] = (),
        page_size: int = _PAGE_SIZE,
    ) -> AsyncIterator[dict[str, object]]:
        """Yield `item_id` and `attributes` of each item that passes a filter, in the pool's order.

        `fields` names the attributes to return; all by default. Each page is one request.
        """
        after: ItemId | None = None
        while True:
            page, after = await self.items_page(filter, fields, page_size, after)
            for item in page:
                yield item
            if after is None:
                return

    async def items_page(
        self,
        filter: Mapping[str, object] | None = None,  # noqa: A002
        fields: Sequence[str] = (),
        limit: int = _PAGE_SIZE,
        after: ItemId | None = None,
    ) -> ItemsPage:
        """Return a page of `items`, and `after` for the next one, None for the last."""
        return await self._call(wire.items(filter, fields, limit, after))

    async def item_image(self, item_id: ItemId) -> bytes:
        """Return the bytes of an item's image."""
        return await self._call(Call("GET", f"{item_path(item_id)}/image", bytes))

    async def put_item(
        self, item_id: ItemId, *, if_match: str | None = None, **content: Unpack[PutOptions]
    ) -> Change:
        """Add an item, or replace the one with its id, by an `image` (bytes or a path) or a `text`.

        `attributes` and `vector` may be given too. With `if_match`, the item must have this `etag`
        (`*`: must exist), or ServiceError `precondition_failed` is raised.
        """
        return await self._call(change_calls.put_item(item_id, content, if_match))

    async def patch_item(
        self,
        item_id: ItemId,
        attributes: Mapping[str, AttributeValue | None],
        *,
        if_match: str | None = None,
    ) -> Change:
        """Set attributes of an item; None removes one, and those not named stay."""
        return await self._call(change_calls.patch_item(item_id, attributes, if_match))

    async def delete_item(self, item_id: ItemId, *, if_match: str | None = None) -> Change:
        """Delete an item; the status is `absent` if there was none."""
        return await self._call(change_calls.delete_item(item_id, if_match))

    async def change_items(self, operations: Sequence[Operation]) -> list[Change | ServiceError]:
        """Apply changes in order; one that is refused has its ServiceError in its place.

        An operation is a dict of `op` (`upsert`, `patch`, `delete`), `item_id`, and the arguments
        of the single call. More than the service takes in one request are sent as several; if one
        of these fails, those before it have been applied, and all may be sent again.
        """
        outcomes: list[Change | ServiceError] = []
        for call in change_calls.change_items(operations):
            part = await self._call(call)
            outcomes += part
        return outcomes

    async def delete_items(self, filter: Mapping[str, object]) -> int:  # noqa: A002
        """Delete all items that pass a filter, together; return their number."""
        return await self._call(change_calls.delete_items(filter))

    async def info(self) -> dict[str, object]:
        """Return the service's model, index, counts and versions."""
        return await self._call(Call("GET", "/info", parse_fields))

    async def metrics(self) -> str:
        """Return the service's counters in Prometheus' text format."""
        return await self._call(Call("GET", "/metrics", bytes.decode))

    async def reload(self, time_limit: float = _RELOAD_SECONDS) -> dict[str, object]:
        """Make the service load its bundle's current version within `time_limit` seconds.

        Returns its `status` (`swapped` or `unchanged`), `index_version` and `previous_version`.
        """
        return await self._call(Call("POST", "/admin/reload", parse_fields, timeout=time_limit))

    async def health(self) -> bool:
        """Return whether the service's process answers, after one try."""
        return await self._succeeds("/healthz")

    async def ready(self) -> bool:
        """Return whether the service is ready to answer queries, after one try."""
        return await self._succeeds("/readyz")

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, call: Call[Any], limit: float) -> Reply:
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

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Return the method of `Client` that does what a method of `AsyncClient` does.

    A Client's own `_send` and `_sleep` block instead of suspending, so that the coroutine ends in
    one step.
    """

    @wraps(method)
    def blocking(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            method(client, *args, **kwargs).send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        raise RuntimeError(f"{method.__name__} was suspended")

    return blocking


class Client(_BaseClient[httpx.Client, httpx.BaseTransport]):
    """A blocking client; safe to share between threads, close it or use it in a `with`.

    `api_key` is sent as `Authorization: Bearer KEY`, `user_key` as `X-User-Key`: a service of two
    bundles answers one user from one of them. Calls raise ClientError: its `code` is the
    service's own, or `unreachable`, `timeout` or `bad_reply`. Proxy settings of the environment
    are not used; give a `transport` for those.
    """

    _http_type = httpx.Client

    search = _blocking(AsyncClient.search)
    if TYPE_CHECKING:  # `_blocking` would keep one of its two signatures

        @overload
        def search_batch(
            self,
            queries: Sequence[str],
            top_k: int = 10,
            *,
            partial: Literal[False] = False,
            **options: Unpack[BatchOptions],
        ) -> list[Hits]: ...
        @overload
        def search_batch(
            self,
            queries: Sequence[str],
            top_k: int = 10,
            *,
            partial: Literal[True],
            **options: Unpack[BatchOptions],
        ) -> list[Hits | ServiceError]: ...
        def search_batch(self, *_: Any, **__: Any) -> Any: ...

    else:
        search_batch = _blocking(AsyncClient.search_batch)
    embed_texts = _blocking(AsyncClient.embed_texts)
    embed_images = _blocking(AsyncClient.embed_images)
    models = _blocking(AsyncClient.models)
    item = _blocking(AsyncClient.item)
    item_image = _blocking(AsyncClient.item_image)
    put_item = _blocking(AsyncClient.put_item)
    patch_item = _blocking(AsyncClient.patch_item)
    delete_item = _blocking(AsyncClient.delete_item)
    change_items = _blocking(AsyncClient.change_items)
    delete_items = _blocking(AsyncClient.delete_items)
    items_page = _blocking(AsyncClient.items_page)
    info = _blocking(AsyncClient.info)
    metrics = _blocking(AsyncClient.metrics)
    reload = _blocking(AsyncClient.reload)
    health = _blocking(AsyncClient.health)
    ready = _blocking(AsyncClient.ready)

    def items(
        self,
        *,
        filter: Mapping[str, object] | None = None,  # noqa: A002 (as in the HTTP API)
        fields: Sequence[str] = (),
        page_size: int = _PAGE_SIZE,
    ) -> Iterator[dict[str, object]]:
        """Yield `item_id` and `attributes` of each item that passes a filter, in the pool's order.

        `fields` names the attributes to return; all by default. Each page is one request.
        """
        after: ItemId | None = None
        while True:
            page, after = self.items_page(filter, fields, page_size, after)
            yield from page
            if after is None:
                return

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _send(self, call: Call[Any], limit: float) -> Reply:
        end = time.monotonic() + limit + _GRACE
        with self._client_errors(limit):
            response = self._http.send(self._request(call, limit), stream=True)
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

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (the caller of a Client wants to block)


def _reply(response: httpx.Response, body: bytearray) -> Reply:
    etag = response.headers.get("ETag")
    return Reply(
        response.status_code,
        bytes(body),
        response.headers.get("Retry-After"),
        etag.removeprefix("W/").strip('"') if etag else None,
    )
