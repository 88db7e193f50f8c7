"""Preparation of queries for a search: their parts become one vector."""

from collections.abc import Sequence

from tusou.core.arrays import Vectors
from tusou.core.errors import ErrorDetail, InvalidRequest, NotReady
from tusou.retrieval.pages import PreparedQuery
from tusou.retrieval.query import ItemPart, Query, TextPart, VectorPart, combine
from tusou.retrieval.searched_items import SearchedItems


def prepare_query(
    query: Query, encoded: Sequence[tuple[Vectors, bool]], items: SearchedItems
) -> PreparedQuery:
    """Combine the query's parts; `encoded` holds vector and truncation of each of its texts.

    Raises InvalidRequest for attributes that the items lack and for parts that cancel each other
    out, UnknownItem, and NotReady for an image that another model has encoded.
    """
    items.check(query)
    rows = iter(encoded)
    vectors = [
        next(rows)[0] if isinstance(part, TextPart) else _stored_vector(part, items)
        for part in query.parts
    ]
    keys = (items.key(item_id) for item_id in query.excluded_ids)
    return PreparedQuery(
        query,
        combine(query.parts, vectors),
        frozenset(key for key in keys if key is not None),
        any(truncated for _, truncated in encoded),
    )


def _stored_vector(part: ItemPart | VectorPart, items: SearchedItems) -> Vectors:
    if isinstance(part, VectorPart):
        if part.model is None:
            return _of_dim(part.vector, items.view.bundle.dim)
        if part.model != items.view.bundle.manifest.model.sha256:
            raise NotReady("the index has just changed; send the request again")
        return part.vector
    return items.vector(part.item_id)


def _of_dim(vector: Vectors, dim: int) -> Vectors:
    if len(vector) != dim:
        message = f"A query vector of this index has {dim} numbers."
        raise InvalidRequest(message, details=[ErrorDetail(("body", "vector"), "vector", message)])
    return vector
