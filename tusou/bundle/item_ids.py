"""The ids of a pool's items, by row key and back."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tusou.core.ids import ItemId

# What Python and JSON write for a whole number, small enough for int64.
_CANONICAL = re.compile(r"(0|[1-9][0-9]{0,17})")


def is_canonical_integer(item_id: str) -> bool:
    """Tell whether an id survives the way through a JSON integer unchanged."""
    return _CANONICAL.fullmatch(item_id) is not None


class ItemIds:
    """Item ids read from a file of one id a line; the line number from 0 is the row key."""

    def __init__(self, path: Path, *, integers: bool) -> None:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        self._integers = integers
        self._ids: npt.NDArray[np.int64] | list[str] = lines
        self._at: Callable[[int], ItemId] = lines.__getitem__
        if integers:
            self._ids = np.array([int(line) for line in lines], np.int64)
            self._at = self._ids.item

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key: int) -> ItemId:
        return self._at(key)

    def of(self, keys: Sequence[int]) -> tuple[ItemId, ...]:
        """Give the ids of several rows."""
        return tuple(map(self._at, keys))

    def key(self, item_id: str) -> int | None:
        """Find the row key of an id given as text, exactly as written; None if there is none."""
        if not self._integers:
            return self._by_text.get(item_id)
        if not is_canonical_integer(item_id):
            return None
        order, ordered = self._by_number
        place = int(np.searchsorted(ordered, int(item_id)))
        found = place < len(ordered) and ordered[place] == int(item_id)
        return int(order[place]) if found else None

    @cached_property
    def _by_number(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        ids = np.asarray(self._ids)
        order = np.argsort(ids)
        return order, ids[order]

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(item_id): key for key, item_id in enumerate(self._ids)}
