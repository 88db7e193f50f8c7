"""Readers of the formats product pools and their queries come in; a format is found by looking."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from tusou.datasets.base import Dataset, ItemRow, PictureQuery, Pool, Query
from tusou.errors import BadDataset
from tusou.registry import Lazy

__all__ = ["Dataset", "ItemRow", "PictureQuery", "Pool", "Query", "open_pool", "split_place"]

# What a pool may be, and who opens it: (path, split) -> the pool, or None for something else.
# The first that knows a place has it, so what could be taken for another stands before it.
_POOLS = {
    "a folder of pictures": Lazy("tusou.datasets.folder:open_folder"),
    "a MUGE picture file (item_id<TAB>base64 lines)": Lazy("tusou.datasets.muge:open_images"),
}


def split_place(place: str) -> tuple[Path, str | None]:
    """Take `path#split` apart; a path that is there may have a `#` of its own."""
    path, mark, split = place.rpartition("#")
    if not mark or Path(place).exists():
        return Path(place), None
    return Path(path), split


def open_pool(place: str) -> Pool:
    """Open the items at a place, whatever format they are in; nothing of them is read yet.

    Raises BadDataset when nothing is there, or nothing that is known.
    """
    path, split = split_place(place)
    if not path.exists():
        raise BadDataset(f"{path} is not there; give a file or folder of items")
    for lazy in _POOLS.values():
        opener = cast("Callable[[Path, str | None], Pool | None]", lazy.load())
        pool = opener(path, split)
        if pool is not None:
            return pool
    raise BadDataset(f"{place}: looked for {'; '.join(_POOLS)}; found none of these")
