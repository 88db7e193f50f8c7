"""The blocking client of a Tusou service, made of the calls of `AsyncClient`."""

import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    Unpack,
    overload,
)

import httpx

from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou_client import wire
from tusou_client.async_client import PAGE_SIZE, AsyncClient
from tusou_client.base_client import GRACE, BaseClient, read_reply
from tusou_client.errors import ServiceError
from tusou_client.wire import BatchOptions, Call, Reply

P = ParamSpec("P")
T = TypeVar("T")


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


class Client(BaseClient[httpx.Client, httpx.BaseTransport]):
    """A blocking client; safe to share between threads, close it or use it in a `with`.

    `api_key` is sent as `Authorization: Bearer KEY`, `user_key` as `X-User-Key`: a service of two
    bundles answers one user from one of them. `query_encoder`, as `X-Query-Encoder`, asks a service
    that has both for the model (teacher) or its student. Calls raise ClientError: its `code` is the
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
        page_size: int = PAGE_SIZE,
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
        end = time.monotonic() + limit + GRACE
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
        return read_reply(response, body)

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (the caller of a Client wants to block)
