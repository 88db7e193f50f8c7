"""Array types that packages share, with their shapes and conventions."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

# (n, d) float32, C-contiguous, every row of unit length.
Vectors: TypeAlias = npt.NDArray[np.float32]
# (n,) int64 row keys of items, which are not positions in a list.
Ids: TypeAlias = npt.NDArray[np.int64]
# (n, size, size, 3) uint8, RGB.
Pixels: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The k best per query, best first, padded with id -1 and score -inf."""

    ids: Ids  # (n, k)
    scores: npt.NDArray[np.float32]  # (n, k), inner products
