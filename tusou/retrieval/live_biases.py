"""The biases of live items, computed once for each item that arrives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tusou.bundle.biased_vectors import Bias, add_bias, biased_dim
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.stages.hub_bias import HubCorrection

if TYPE_CHECKING:  # imports pyarrow
    from tusou.live.live_rows import LiveRows
    from tusou.live.snapshot import LiveSnapshot

_LEAST_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotBiases:
    """The biases of a snapshot's items."""

    by_key: Bias  # (size,)
    live_vectors: Vectors  # (m, d): the vectors of all live items with their biases


class LiveBiases:
    """Computes the biases of live items by a version's hub correction; for one thread."""

    def __init__(self, bundle: Bundle) -> None:
        hub = bundle.manifest.stages.hub
        assert hub is not None
        assert bundle.hub_bias is not None
        self._of_version, self._dim = bundle.hub_bias, bundle.dim
        self._correction = HubCorrection(bundle.query_bank, hub.k, hub.alpha)
        self._rows: LiveRows | None = None  # those that the vectors below are of
        self._count = 0
        self._vectors = np.empty((_LEAST_ROWS, biased_dim(bundle.dim)), np.float32)

    def of(self, snapshot: "LiveSnapshot") -> SnapshotBiases:
        """Return the biases of a snapshot's items; those of new live items are computed."""
        vectors = self._live_vectors(snapshot)
        by_key = np.concatenate([self._of_version, vectors[:, self._dim]])
        return SnapshotBiases(by_key, vectors)

    def _live_vectors(self, snapshot: "LiveSnapshot") -> Vectors:
        count = len(snapshot.alive)
        if snapshot.rows is not self._rows:
            self._rows, self._count = snapshot.rows, 0
        if count > self._count:
            added = snapshot.rows.vectors(count)[self._count :]
            self._append(add_bias(added, self._correction.bias(added)))
        return self._vectors[:count]

    def _append(self, added: Vectors) -> None:
        before, count = self._vectors, self._count + len(added)
        if self._count == 0 or count > len(before):
            # Searches of other snapshots keep the old array.
            self._vectors = np.empty((max(_LEAST_ROWS, 2 * count), before.shape[1]), np.float32)
            self._vectors[: self._count] = before[: self._count]
        self._vectors[self._count : count] = added
        self._count = count
