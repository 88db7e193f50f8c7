"""Arrays of images that follow each other, as one array."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tusou.core.arrays import Pixels


class PixelStack:
    """The images of several arrays (n, side, side, 3), without a copy of them.

    It is indexed by a position, a slice or positions, and returns an array.
    """

    def __init__(self, parts: Sequence[Pixels]) -> None:
        """Take arrays of images of one size, such as those mapped from disk."""
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Pixels]:
        for part in self.parts:
            yield from part

    def __getitem__(self, rows: int | slice | NDArray[np.int64]) -> Pixels:
        if len(self.parts) == 1:
            single: Pixels = self.parts[0][rows]
            return single
        if isinstance(rows, int):
            image: Pixels = self[np.array([range(len(self))[rows]])][0]
            return image
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        if len(rows) and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"{rows} of {len(self)} images")
        rows = rows % len(self)
        numbers = np.searchsorted(self._ends, rows, side="right")
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for number, part in enumerate(self.parts):
            chosen = numbers == number
            images[chosen] = part[rows[chosen] - (self._ends[number] - len(part))]
        return images
