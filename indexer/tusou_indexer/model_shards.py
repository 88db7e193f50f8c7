"""The finished shards of the models of a build, read as those of one model."""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from tusou.bundle.shards import Shard, ShardStore
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import CorruptBundle


class ModelShards:
    """The shards of every model of an ensemble, or of the only model of a build.

    An item that one model could not encode is in no shard.
    """

    def __init__(self, stores: Sequence[ShardStore]) -> None:
        self.stores = tuple(stores)

    def read(self, number: int) -> Shard:
        """Return a shard, without what was reused; CorruptBundle if one has changed."""
        shards = [store.read(number) for store in self.stores]
        rows = _common_rows(shards)
        masks = [np.isin(shard.rows, rows, assume_unique=True) for shard in shards]
        checks, contents = shards[0].checks[masks[0]], shards[0].contents[masks[0]]
        for shard, mine in zip(shards[1:], masks[1:], strict=True):
            if not np.array_equal(shard.contents[mine], contents):
                raise CorruptBundle(
                    "the source changed while one model after the other encoded it; run "
                    "`tusou index` again with --force"
                )
        failures = {failure.line: failure for shard in shards for failure in shard.failures}
        truncated = min(shards[0].truncated, len(rows))
        return Shard(rows, checks, contents, list(failures.values()), truncated)

    def vectors(self, number: int) -> Vectors:
        """Return the vectors of a shard, (n, d), the models' parts side by side."""
        shards = [store.read(number) for store in self.stores]
        rows = _common_rows(shards)
        parts = [
            store.vectors(number)[np.isin(shard.rows, rows, assume_unique=True)]
            for store, shard in zip(self.stores, shards, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _common_rows(shards: Sequence[Shard]) -> Ids:
    return reduce(
        lambda rows, shard: np.intersect1d(rows, shard.rows, assume_unique=True),
        shards[1:],
        shards[0].rows,
    )
