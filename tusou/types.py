"""The array and id types that cross package borders, with their conventions."""

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

# (n, d) float32, C-contiguous, every row of unit length.
Vectors: TypeAlias = npt.NDArray[np.float32]
# (n,) int64 row keys: an item's key, never its position by accident.
Ids: TypeAlias = npt.NDArray[np.int64]
# (n, size, size, 3) uint8, RGB.
Pixels: TypeAlias = npt.NDArray[np.uint8]
# What the outside calls an item: an integer in MUGE, a string elsewhere.
ItemId: TypeAlias = int | str
# What the items of a pool are.
Items: TypeAlias = Literal["pictures", "texts"]
# Of the bytes at an item's place: as they are; base64 text; one JSON object with a text in it.
Encoding: TypeAlias = Literal["raw", "base64", "json"]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The k best per query, best first, padded with id -1 and score -inf."""

    ids: Ids  # (n, k)
    scores: npt.NDArray[np.float32]  # (n, k), inner products


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of a pool that gave no item, and why."""

    line: int
    item_id: str | None
    reason: str
    file: str | None = None  # which one, in a pool of many

    def record(self) -> dict[str, object]:
        """Give the row of `failures.jsonl`, which names a file where there are several."""
        row = asdict(self)
        return row if self.file is not None else {k: v for k, v in row.items() if k != "file"}
