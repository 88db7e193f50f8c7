"""The client of a Tusou service for asyncio, which defines every call."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Self, Unpack, overload

import httpx

from tusou.core.hits import AttributeValue, Hits
from tusou.core.ids import ItemId
from tusou_client import change_calls, wire
from tusou_client.base_client import GRACE, BaseClient, read_reply
from tusou_client.change_calls import Change, Operation, PutOptions, item_path
from tusou_client.errors import IndexChanged, ServiceError
from tusou_client.wire import (
    BatchOptions,
    Call,
    ImageFile,
    ItemsPage,
    Reply,
    SearchOptions,
    Vector,
    parse_fields,
)

# A reload verifies and warms a whole bundle.
_RELOAD_SECONDS = 600.0
PAGE_SIZE = 1000  # items in a request, at most as many


class AsyncClient(BaseClient[httpx.AsyncClient, httpx.AsyncBaseTransport]):
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
        page_size: int = PAGE_SIZE,
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
        limit: int = PAGE_SIZE,
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
            async with asyncio.timeout(limit + GRACE):
                response = await self._http.send(self._request(call, limit), stream=True)
                try:
                    body = bytearray()
                    async for part in response.aiter_bytes():
                        body += wire.within_limit(part, len(body))
                finally:
                    await response.aclose()
        return read_reply(response, body)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
