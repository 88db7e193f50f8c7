"""The items of a version as searches and look-ups see them, with or without live changes."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tusou.attributes.filters import Filter
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeValue
from tusou.bundle.bundle import Bundle
from tusou.bundle.item_etag import etag_of
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import ErrorDetail, InvalidRequest, UnknownItem
from tusou.core.ids import ItemId

if TYPE_CHECKING:  # imports pyarrow, which bundles without attributes do not need
    from tusou.attributes.table import AttributeTable

Mask = npt.NDArray[np.bool_]


class ItemView(Protocol):
    """Items by row key, as they were at one moment: `VersionView`, or `LiveSnapshot`.

    Methods that take an id as text raise UnknownItem. Safe for threads.
    """

    def __hash__(self) -> int: ...

    @property
    def bundle(self) -> Bundle: ...

    @property
    def index_version(self) -> str:
        """The version that answers carry: the bundle's, with the position of the last change."""
        ...

    @property
    def item_count(self) -> int:
        """The number of items that can be found."""
        ...

    @property
    def size(self) -> int:
        """The number of row keys, those of removed items included."""
        ...

    @property
    def schema(self) -> AttributeSchema:
        """The types of the attributes; empty if the items have none."""
        ...

    def find(self, item_id: str) -> int | None:
        """Return the row key of an id given as text; None if unknown."""
        ...

    @property
    def id_at(self) -> Callable[[int], ItemId]:
        """A function that returns the id of a row key."""
        ...

    def ids(self, mask: Mask, after: int = -1, limit: int = 100) -> list[tuple[int, ItemId]]:
        """Return row keys and ids of the first items of a mask behind the key `after`."""
        ...

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Return the vectors of items in the order of their keys, (n, d)."""
        ...

    def vector(self, item_id: str) -> Vectors:
        """Return the vector of an item, (d,)."""
        ...

    def mask(self, selected: Filter | None = None) -> Mask:
        """Return which items are there and pass a filter, (size,); InvalidRequest."""
        ...

    def facet(self, name: str, mask: Mask | None = None) -> list[tuple[AttributeValue, int]]:
        """Return the values that most items of the mask have, most first."""
        ...

    def codes(self, name: str) -> Ids:
        """Return equal codes for equal values, (size,); an item without one has its own."""
        ...

    def attribute_rows(
        self, keys: Iterable[int], names: Sequence[str] | None = None
    ) -> list[Attributes]:
        """Return the attributes of items, all of them or those of `names`."""
        ...

    def item_attributes(self, item_id: str) -> Attributes: ...

    def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an item's image and its media type; NoImage where items are texts."""
        ...

    def text(self, item_id: str) -> str | None:
        """Return an item's text, None where items are images."""
        ...

    def etag(self, item_id: str) -> str:
        """Return the digest of an item's content and attributes."""
        ...


class VersionView:
    """The items of a version, which never change."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @property
    def index_version(self) -> str:
        return self.bundle.version

    @property
    def item_count(self) -> int:
        return self.bundle.item_count

    @property
    def size(self) -> int:
        return self.bundle.item_count

    @property
    def id_at(self) -> Callable[[int], ItemId]:
        return self.bundle.ids.at

    def find(self, item_id: str) -> int | None:
        return self.bundle.ids.key(item_id)

    def vectors(self, keys: Sequence[int]) -> Vectors:
        return self.bundle.vector_file.rows(keys)

    def image(self, item_id: str) -> tuple[bytes, str]:
        return self.bundle.image(item_id)

    def text(self, item_id: str) -> str | None:
        return self.bundle.text(item_id)

    @property
    def schema(self) -> AttributeSchema:
        return self.bundle.attributes.schema if self.bundle.attributes else {}

    @cached_property
    def _all(self) -> Mask:
        return np.ones(self.size, np.bool_)

    @property
    def _table(self) -> "AttributeTable":
        if self.bundle.attributes is None:
            raise no_attributes()
        return self.bundle.attributes

    def _key(self, item_id: str) -> int:
        key = self.find(item_id)
        if key is None:
            raise UnknownItem("the index holds no item of this id")
        return key

    def ids(self, mask: Mask, after: int = -1, limit: int = 100) -> list[tuple[int, ItemId]]:
        keys = np.flatnonzero(mask[after + 1 :])[:limit] + after + 1
        return [(key, self.id_at(key)) for key in keys.tolist()]

    def vector(self, item_id: str) -> Vectors:
        vector: Vectors = self.vectors([self._key(item_id)])[0]
        return vector

    def mask(self, selected: Filter | None = None) -> Mask:
        return self._all if selected is None else self._table.mask(selected)

    def facet(self, name: str, mask: Mask | None = None) -> list[tuple[AttributeValue, int]]:
        return self._table.facet(name, mask)

    def codes(self, name: str) -> Ids:
        return self._table.codes(name)

    def attribute_rows(
        self, keys: Iterable[int], names: Sequence[str] | None = None
    ) -> list[Attributes]:
        return self._table.rows(list(keys), names)

    def item_attributes(self, item_id: str) -> Attributes:
        return self._table.row(self._key(item_id)) if self.bundle.attributes else {}

    def etag(self, item_id: str) -> str:
        key = self._key(item_id)
        _, _, length, check = self.bundle.spans[key].tolist()
        (vector,) = self.vectors([key])
        return etag_of(length, check, vector, self.item_attributes(item_id))


def no_attributes() -> InvalidRequest:
    """Return the error of a query for attributes where the items have none."""
    message = "The items have no attributes; give them to tusou index with --attributes."
    return InvalidRequest(details=[ErrorDetail(("body",), "no_attributes", message)])
