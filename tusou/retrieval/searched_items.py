"""The items that a pipeline searches: an index, and what its row keys stand for."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from tusou.attributes.filters import Filter, Location, check_filter, unknown_attribute
from tusou.attributes.schema import AttributeValue
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.errors import ErrorDetail, InvalidRequest, UnknownItem
from tusou.core.ids import ItemId
from tusou.indexes import VectorIndex
from tusou.retrieval.grouping import ValueGroups
from tusou.retrieval.query import Query
from tusou.retrieval.selection import Selection

if TYPE_CHECKING:  # imports pyarrow, which bundles without attributes do not need
    from tusou.attributes.table import AttributeTable

# Each has a byte per item, and up to eight more for the row keys of a small selection.
_CACHED_SELECTIONS = 16
# Each has 24 bytes per item.
_CACHED_GROUPS = 2
_CACHED_FACETS = 64


class SearchedItems:
    """One version's items. Filters and groups in use are cached; not safe for concurrent calls."""

    def __init__(self, bundle: Bundle, index: VectorIndex) -> None:
        self.bundle, self.index = bundle, index
        # Functions of the bundle, not methods: a cycle would keep a replaced version in memory.
        self._select = lru_cache(_CACHED_SELECTIONS)(partial(_select, bundle))
        self._groups = lru_cache(_CACHED_GROUPS)(partial(_group_values, bundle))
        self._count = lru_cache(_CACHED_FACETS)(partial(_count_values, bundle, self._select))

    def __len__(self) -> int:
        return self.bundle.item_count

    @property
    def version(self) -> str:
        """The version of the index, as in the results."""
        return self.bundle.version

    @property
    def item_id(self) -> Callable[[int], ItemId]:
        """A function that returns the id of a row key."""
        return self.bundle.ids.at

    def key(self, item_id: str) -> int | None:
        """Return the row key of an id given as text; None if unknown."""
        return self.bundle.ids.key(item_id)

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Read the vectors of row keys, (n, d), in their order."""
        return self.bundle.vector_file.rows(keys)

    def vector(self, item_id: str) -> Vectors:
        """Read the vector of an item, (d,); UnknownItem."""
        key = self.key(item_id)
        if key is None:
            raise UnknownItem("the index holds no item of this id")
        vector: Vectors = self.vectors([key])[0]
        return vector

    @property
    def attributes(self) -> "AttributeTable":
        """The attributes by row key; InvalidRequest if the bundle has none."""
        return _attributes(self.bundle)

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
        """Raise InvalidRequest for an attribute that the items do not have."""
        restricted = query.filter is not None or query.distinct is not None
        if not (restricted or query.fields or query.facets):
            return
        schema = self.attributes.schema
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


def _attributes(bundle: Bundle) -> "AttributeTable":
    if bundle.attributes is None:
        message = "The items have no attributes; give them to tusou index with --attributes."
        raise InvalidRequest(details=[ErrorDetail(("body",), "no_attributes", message)])
    return bundle.attributes


def _select(bundle: Bundle, selected: Filter | None) -> Selection:
    if selected is None:
        return Selection(np.ones(bundle.item_count, np.bool_))
    return Selection(_attributes(bundle).mask(selected), selected)


def _group_values(bundle: Bundle, name: str) -> ValueGroups:
    return ValueGroups(_attributes(bundle).codes(name))


def _count_values(
    bundle: Bundle, select: Callable[[Filter | None], Selection], name: str, selected: Filter | None
) -> list[tuple[AttributeValue, int]]:
    mask = None if selected is None else select(selected).mask
    return _attributes(bundle).facet(name, mask)
