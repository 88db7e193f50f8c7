"""A bundle's version with live changes at one position: what one search or look-up sees."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from zlib import crc32

import numpy as np

from tusou.attributes.filters import Filter
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeValue
from tusou.attributes.table import FACET_VALUES
from tusou.bundle.bundle import Bundle
from tusou.bundle.item_etag import etag_of
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import NoImage, UnknownItem
from tusou.core.ids import ItemId
from tusou.images.formats import content_type
from tusou.live.attribute_view import AttributeView, Mask
from tusou.live.exact_search import search_exactly
from tusou.live.live_rows import LiveRows
from tusou.live.operations import ContentSpan


class LiveSnapshot:
    """Never changes. Row keys below `version_size` are those of the version's items, in its index;
    the others are live items, in order of arrival. Keys of another snapshot may mean other items.
    """

    def __init__(
        self,
        bundle: Bundle,
        position: int,
        removed: Mask,  # (n,), the version's items that are deleted or replaced
        alive: Mask,  # (m,), the live items that are there
        rows: LiveRows,
        attributes: AttributeView,
        read: Callable[[ContentSpan], bytes],
    ) -> None:
        self.bundle, self.position = bundle, position
        self.removed, self.alive = removed, alive
        self.attributes = attributes
        self.rows, self._read = rows, read
        for mask in (removed, alive):
            mask.setflags(write=False)

    @property
    def index_version(self) -> str:
        """The version of the answers: the bundle's, and the position of the last change."""
        return f"{self.bundle.version}+{self.position}"

    @property
    def version_size(self) -> int:
        """The number of the version's items, removed ones included."""
        return len(self.removed)

    @property
    def size(self) -> int:
        """The number of row keys, those of removed items included."""
        return len(self.removed) + len(self.alive)

    @cached_property
    def removed_count(self) -> int:
        """The number of the version's items that must not be found."""
        return int(np.count_nonzero(self.removed))

    @cached_property
    def live_keys(self) -> Ids:
        """The row keys of the live items, ascending."""
        return np.flatnonzero(self.alive) + self.version_size

    @property
    def item_count(self) -> int:
        """The number of items that can be found."""
        return self.version_size - self.removed_count + len(self.live_keys)

    @property
    def schema(self) -> AttributeSchema:
        """The types of all attributes: those of the version, and newly named ones."""
        return self.attributes.schema

    @cached_property
    def visible(self) -> Mask:
        """A mask of the row keys that have an item, (size,)."""
        return np.concatenate([~self.removed, self.alive])

    def mask(self, selected: Filter | None = None) -> Mask:
        """Return which items pass a filter, (size,); InvalidRequest as `check_filter`."""
        if selected is None:
            return self.visible
        return self.attributes.mask(selected, self.size) & self.visible

    def facet(
        self, name: str, mask: Mask | None = None, limit: int = FACET_VALUES
    ) -> list[tuple[AttributeValue, int]]:
        """Return the values that most items of the mask have, most first, then in their order."""
        return self.attributes.facet(name, self.visible if mask is None else mask, limit)

    def codes(self, name: str) -> Ids:
        """Return equal codes for equal values, (size,); an item without one has its own."""
        return self.attributes.codes(name, self.size)

    def attribute_rows(
        self, keys: Iterable[int], names: Sequence[str] | None = None
    ) -> list[Attributes]:
        """Return the attributes of items, all of them or those of `names`."""
        return self.attributes.rows(keys, names)

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: Mask | None = None,
        vectors: Vectors | None = None,
    ) -> Neighbors:
        """Return the k best live items per query by row key, ties by key; exact.

        `allowed`, (size,), restricts them to the items of a mask. `vectors` (m, d) are compared in
        place of the live items' own.
        """
        chosen = self.alive
        if allowed is not None:
            chosen = chosen & allowed[self.version_size :]
        if vectors is None:
            vectors = self.rows.vectors(len(self.alive))
        return search_exactly(vectors, queries, k, chosen, self.version_size)

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Return the vectors of items in the order of their keys, (k, d)."""
        live = self.rows.vectors(len(self.alive))
        n = self.version_size
        of_version = iter(self.bundle.vector_file.rows([key for key in keys if key < n]))
        return np.array(
            [next(of_version) if key < n else live[key - n] for key in keys], np.float32
        )

    def key(self, item_id: str) -> int:
        """Return the row key of an id given as text; UnknownItem."""
        key = self.find(item_id)
        if key is None:
            raise UnknownItem("the index holds no item of this id")
        return key

    def find(self, item_id: str) -> int | None:
        """Return the row key of an id given as text, or None."""
        slot = self.rows.slot(item_id, len(self.alive))
        if slot is not None and self.alive[slot]:
            return self.version_size + slot
        key = self.bundle.ids.key(item_id)
        return None if key is None or self.removed[key] else key

    def id_at(self, key: int) -> ItemId:
        """Return the id of a row key, of the bundle's type."""
        if key < self.version_size:
            return self.bundle.ids.at(key)
        item_id = self.rows.ids[key - self.version_size]
        return int(item_id) if self.bundle.id_type == "int" else item_id

    def vector(self, item_id: str) -> Vectors:
        """Return the vector of an item, (d,); UnknownItem."""
        vector: Vectors = self.vectors([self.key(item_id)])[0]
        return vector

    def item_attributes(self, item_id: str) -> Attributes:
        """Return the attributes of an item; UnknownItem."""
        return self.attributes.row(self.key(item_id))

    def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an item's image and media type; UnknownItem and NoImage as `Bundle.image`."""
        key = self.key(item_id)
        if key < self.version_size:
            return self.bundle.image(item_id)
        if self.bundle.items == "texts":
            raise NoImage("the items of this index are texts and have no images")
        data = self.content(key)
        return data, content_type(data)

    def text(self, item_id: str) -> str | None:
        """Return an item's text, None where items are images; UnknownItem."""
        key = self.key(item_id)
        if key < self.version_size:
            return self.bundle.text(item_id)
        return self.content(key).decode() if self.bundle.items == "texts" else None

    def content(self, key: int) -> bytes:
        """Return the bytes of a live item; UnknownItem if the log has lost them."""
        span = self.span(key)
        data = self._read(span)
        if crc32(data) != span.check:
            raise UnknownItem("the content of the item is not in the log any more")
        return data

    def etag(self, item_id: str) -> str:
        """Return the digest of an item's content, vector and attributes; UnknownItem.

        It is the same after a restart and after a compaction.
        """
        key = self.key(item_id)
        return self.etag_with(key, self.attributes.row(key))

    def etag_with(self, key: int, attributes: Attributes) -> str:
        """Return the ETag that an item would have with other attributes."""
        (vector,) = self.vectors([key])
        return etag_of(*self.checks(key), vector, attributes)

    def checks(self, key: int) -> tuple[int, int]:
        """Return length and CRC-32 of an item's stored bytes."""
        if key < self.version_size:
            _, _, length, check = self.bundle.spans[key].tolist()
            return length, check
        span = self.span(key)
        return span.length, span.check

    def span(self, key: int) -> ContentSpan:
        """Return where the log holds the content of a live item."""
        return self.rows.spans[key - self.version_size]

    def ids(self, mask: Mask, after: int = -1, limit: int = 100) -> list[tuple[int, ItemId]]:
        """Return row keys and ids of the first items of a mask behind the key `after`."""
        keys = np.flatnonzero(mask[after + 1 :])[:limit] + after + 1
        return [(key, self.id_at(key)) for key in keys.tolist()]
