"""The items that a pipeline searches: an index, and what its row keys stand for."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

import numpy as np

from tusou.attributes.filters import Filter, Location, check_filter, unknown_attribute
from tusou.attributes.schema import Attributes, AttributeValue
from tusou.bundle.biased_vectors import Bias, as_queries
from tusou.core.arrays import Vectors
from tusou.core.errors import ErrorDetail, InvalidRequest
from tusou.core.ids import ItemId
from tusou.indexes.base import SearchIndex
from tusou.retrieval.grouping import ValueGroups
from tusou.retrieval.item_view import ItemView, no_attributes
from tusou.retrieval.no_encoder import require_encoder
from tusou.retrieval.query import Query
from tusou.retrieval.selection import Selection
from tusou.stages.softmax_stage import SoftmaxStage

# Each has a byte per item, and up to eight more for the row keys of a small selection.
_CACHED_SELECTIONS = 16
# Each has 24 bytes per item.
_CACHED_GROUPS = 2
_CACHED_FACETS = 64


class SearchedItems:
    """The items of one view, with caches of filters and groups; not safe for concurrent calls."""

    def __init__(
        self,
        view: ItemView,
        index: SearchIndex,
        bias: Bias | None = None,
        softmax: SoftmaxStage | None = None,
    ) -> None:
        """`bias` (size,) is that of each item by row key, where the index has biases."""
        self.view, self.index, self.bias, self.softmax = view, index, bias, softmax
        # Functions of the view, not methods: a cycle would keep a replaced version in memory.
        self._select = lru_cache(_CACHED_SELECTIONS)(partial(_select, view))
        self._groups = lru_cache(_CACHED_GROUPS)(partial(_group_values, view))
        self._count = lru_cache(_CACHED_FACETS)(partial(_count_values, view, self._select))

    def __len__(self) -> int:
        return self.view.item_count

    @property
    def version(self) -> str:
        """The version of the index, as in the results."""
        return self.view.index_version

    @property
    def item_id(self) -> Callable[[int], ItemId]:
        """A function that returns the id of a row key."""
        return self.view.id_at

    def key(self, item_id: str) -> int | None:
        """Return the row key of an id given as text; None if unknown."""
        return self.view.find(item_id)

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Read the vectors of row keys, (n, d), in their order."""
        return self.view.vectors(keys)

    def vector(self, item_id: str) -> Vectors:
        """Read the vector of an item, (d,); UnknownItem."""
        return self.view.vector(item_id)

    def as_query(self, vector: Vectors, *, adjust: bool) -> Vectors:
        """Return the vector that the index is searched with for a query (d,).

        Scores are cosines, minus the items' biases with `adjust`.
        """
        if self.bias is None:
            return vector
        query: Vectors = as_queries(vector[np.newaxis], adjust=adjust)[0]
        return query

    def attribute_rows(self, keys: Sequence[int], names: Sequence[str]) -> list[Attributes]:
        """Return the named attributes of items in the order of their keys."""
        return self.view.attribute_rows(keys, names)

    def selection(self, query: Query) -> Selection | None:
        """Return the items that a query may return; None for all of the index."""
        if query.filter is None and not query.distinct and not query.collapse:
            return None
        return self._select(query.filter)

    def value_groups(self, name: str) -> ValueGroups:
        """Return the groups of items with the same value of an attribute."""
        return self._groups(name)

    def facet(self, name: str, selected: Filter | None) -> list[tuple[AttributeValue, int]]:
        """Return an attribute's values among the items that pass, with counts, most first."""
        return self._count(name, selected)

    def check(self, query: Query) -> None:
        """Raise InvalidRequest for an attribute that the items do not have, and NoEncoder."""
        if query.texts:
            require_encoder(self.view.bundle.manifest)
        restricted = query.filter is not None or query.distinct is not None
        if not (restricted or query.fields or query.facets):
            return
        schema = self.view.schema
        if not schema:
            raise no_attributes()
        if query.filter is not None:
            check_filter(query.filter, schema)
        details = [
            ErrorDetail(location, "unknown_attribute", unknown_attribute(name, schema))
            for location, name in _attribute_names(query)
            if name not in schema
        ]
        if details:
            raise InvalidRequest(details=details)


def _attribute_names(query: Query) -> Iterator[tuple[Location, str]]:
    """Yield the location and the name of every attribute that a query names beside its filter."""
    if query.distinct is not None:
        yield ("body", "distinct"), query.distinct
    for part in ("fields", "facets"):
        for number, name in enumerate(getattr(query, part)):
            yield ("body", part, number), name


def _select(view: ItemView, selected: Filter | None) -> Selection:
    return Selection(view.mask(selected), selected)


def _group_values(view: ItemView, name: str) -> ValueGroups:
    return ValueGroups(view.codes(name))


def _count_values(
    view: ItemView, select: Callable[[Filter | None], Selection], name: str, selected: Filter | None
) -> list[tuple[AttributeValue, int]]:
    return view.facet(name, None if selected is None else select(selected).mask)
