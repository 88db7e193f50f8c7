"""Live changes of items as an index on a server stores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.core.arrays import Vectors


@dataclass(frozen=True, slots=True)
class IndexedItem:
    """Vector (d,) and attributes of an item."""

    vector: Vectors
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ItemChange:
    """The state of an item that live changes have added, changed or removed."""

    item_id: str
    now: IndexedItem | None  # None: it is not there
    before: tuple[int, IndexedItem] | None = None  # row key of the version, and what it has there


class ItemChanges(Protocol):
    """The live changes in an index on a server. Methods raise IndexUnavailable."""

    def begin(self, base: int, last: int) -> int:
        """Return the position of the last change that the index has.

        It is `base`, the position of the version, if it has none. An index with changes of another
        log, whose position is not from `base` to `last`, is reset to the version.
        """
        ...

    def write(self, changes: Sequence[ItemChange]) -> None:
        """Write the state of changed items; to write the same state again changes nothing."""
        ...

    def set_position(self, position: int) -> None:
        """Record that all changes up to a position are written."""
        ...


@runtime_checkable
class ChangeableIndex(Protocol):
    """An index on a server that stores live changes beside the items of its version."""

    def check_attributes(self, attributes: Attributes, schema: AttributeSchema) -> None:
        """Raise InvalidRequest for attributes of an item that the index could not hold.

        `schema` has all attributes of the items, these among them.
        """
        ...

    def open_changes(self) -> ItemChanges:
        """Return what writes changes into the index, over a connection of its own."""
        ...
