"""Pages of a bundle's items, in the order of the pool."""

import numpy as np

from tusou.attributes.filters import check_filter, check_names
from tusou.bundle.bundle import Bundle
from tusou_service.http.attribute_fields import attribute_schema
from tusou_service.http.request_models import ItemListParameters
from tusou_service.http.schemas import ItemsResponse, ListedItem


def list_items(bundle: Bundle, parameters: ItemListParameters) -> ItemsResponse:
    """Return the page of the items that pass a filter; InvalidRequest and UnknownItem."""
    table, schema, limit = bundle.attributes, attribute_schema(bundle), parameters.limit
    check_names(parameters.fields, schema, ("query", "fields"))
    start = 0 if parameters.after is None else bundle.key(parameters.after) + 1
    if parameters.filter is not None:
        check_filter(parameters.filter, schema, ("query", "filter"))
    if parameters.filter is None or table is None:  # without attributes, only {} is no error
        matched = bundle.item_count
        keys = list(range(start, min(start + limit + 1, matched)))
    else:
        mask = table.mask(parameters.filter)
        matched = int(np.count_nonzero(mask))
        keys = (np.flatnonzero(mask[start:])[: limit + 1] + start).tolist()
    page, has_more = keys[:limit], len(keys) > limit
    ids = list(map(bundle.ids.at, page))
    rows = table.rows(page, parameters.fields or None) if table else [None] * len(page)
    items = [
        ListedItem(item_id=item_id, attributes=row if row is None else dict(row))
        for item_id, row in zip(ids, rows, strict=True)
    ]
    return ItemsResponse(
        items=tuple(items),
        matched=matched,
        next=ids[-1] if has_more else None,
        index_version=bundle.version,
    )
