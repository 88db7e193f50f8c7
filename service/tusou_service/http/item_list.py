"""Pages of items, in the order of the pool; added items come last."""

import numpy as np

from tusou.attributes.filters import check_filter, check_names
from tusou.core.errors import UnknownItem
from tusou.retrieval.item_view import ItemView
from tusou_service.http.request_models import ItemListParameters
from tusou_service.http.schemas import ItemsResponse, ListedItem


def list_items(view: ItemView, parameters: ItemListParameters) -> ItemsResponse:
    """Return the page of the items that pass a filter; InvalidRequest and UnknownItem."""
    check_names(parameters.fields, view.schema, ("query", "fields"))
    if parameters.filter is not None:
        check_filter(parameters.filter, view.schema, ("query", "filter"))
    # Without attributes, only {} is valid, and all items pass it.
    mask = view.mask(parameters.filter if view.schema else None)
    entries = view.ids(mask, _last_key(view, parameters.after), parameters.limit + 1)
    page, has_more = entries[: parameters.limit], len(entries) > parameters.limit
    keys = [key for key, _ in page]
    has_rows = bool(view.schema)
    rows = view.attribute_rows(keys, parameters.fields or None) if has_rows else [None] * len(page)
    items = [
        ListedItem(item_id=item_id, attributes=None if row is None else dict(row))
        for (_, item_id), row in zip(page, rows, strict=True)
    ]
    return ItemsResponse(
        items=tuple(items),
        matching_items=int(np.count_nonzero(mask)),
        next=page[-1][1] if has_more else None,
        index_version=view.index_version,
    )


def _last_key(view: ItemView, item_id: str | None) -> int:
    """Return the row key of the last item before the page, -1 for the first page."""
    if item_id is None:
        return -1
    key = view.find(item_id)
    if key is None:
        raise UnknownItem("the index holds no item of this id")
    return key
