"""The items that a query may return."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tusou.attributes.filters import Filter
from tusou.core.arrays import Ids


@dataclass(frozen=True, eq=False)
class Selection:
    """A set of items by row key, counted and listed once for all queries with the same filter."""

    mask: npt.NDArray[np.bool_]  # (n,)
    filter: Filter | None = None  # for an index that filters by itself; None selects all items

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))

    @cached_property
    def keys(self) -> Ids:
        """The row keys, ascending."""
        return np.flatnonzero(self.mask)
