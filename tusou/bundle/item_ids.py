"""Item ids by row key, and row keys by item id."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tusou.bundle.bundle_parts import damage_as_corrupt
from tusou.core.ids import ItemId, is_canonical_integer


class ItemIds:
    """Item ids read from a file of one id per line; the line number from 0 is the row key.

    Raises CorruptBundle for a duplicate id, for text that is not UTF-8, and for a wrong integer.
    """

    def __init__(self, path: Path, *, integers: bool) -> None:
        with damage_as_corrupt(path):
            lines = path.read_bytes().decode().removesuffix("\n").split("\n")
            self._integers = integers
            self._ids: npt.NDArray[np.int64] | list[str] = lines
            self.at: Callable[[int], ItemId] = lines.__getitem__  # the id of a row key
            if integers:
                self._ids = np.array(lines, np.int64)
                self.at = self._ids.item
                if lines != list(map(str, self._ids.tolist())):
                    raise ValueError("an id is not an integer as JSON writes it")
            if len(set(lines)) != len(lines):
                raise ValueError("a duplicate id")

    def __len__(self) -> int:
        return len(self._ids)

    def key(self, item_id: str) -> int | None:
        """Return the row key of an id given as text, compared as written; None if unknown."""
        if not self._integers:
            return self._by_text.get(item_id)
        if not is_canonical_integer(item_id):
            return None
        order, ordered = self._by_number
        position = int(np.searchsorted(ordered, int(item_id)))
        known = position < len(ordered) and ordered[position] == int(item_id)
        return int(order[position]) if known else None

    @cached_property
    def _by_number(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        ids = np.asarray(self._ids)
        order = np.argsort(ids)
        return order, ids[order]

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(item_id): key for key, item_id in enumerate(self._ids)}
