"""From a pool's plan to embedding shards: resumable, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.shards import Shard, ShardStore
from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.ids import Failure
from tusou_indexer.plan import Plan


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """One batch: the vectors of its good rows, and a reason for each of the others."""

    vectors: Vectors  # (n, d)
    good: tuple[int, ...]  # positions within the batch
    bad: tuple[tuple[int, str], ...]  # position and reason
    checks: tuple[int, ...]  # the CRC-32 of what each good one is stored as
    truncated: int = 0


# Takes the places of batch after batch, and gives their vectors in the same order.
Encode: TypeAlias = Callable[[Iterable[npt.NDArray[np.int64]]], Iterator[EncodedBatch]]


def embed(plan: Plan, store: ShardStore, encode: Encode, watcher: Progress) -> int:
    """Encode every shard that is not stored yet; return how many rows that took."""
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    rows = sum(len(plan.shard(number)) for number in missing)
    watcher.begin("encoding", len(plan), len(plan) - rows)
    # One stream over all missing shards, so that decoding runs ahead across their borders.
    spans = (span for number in missing for span in _batches(plan, number))
    encoded = encode(plan.spans(span) for span in spans)
    for number in missing:
        store.write(number, _shard(plan, number, encoded, watcher))
    return rows


def _batches(plan: Plan, number: int) -> Iterator[range]:
    shard, size = plan.shard(number), plan.inputs.batch_rows
    for start in range(shard.start, shard.stop, size):
        yield range(start, min(start + size, shard.stop))


def _shard(plan: Plan, number: int, encoded: Iterator[EncodedBatch], watcher: Progress) -> Shard:
    rows: list[int] = []
    checks: list[int] = []
    vectors: list[Vectors] = []
    bad: dict[int, str] = {}
    truncated = 0
    for span in _batches(plan, number):
        batch = next(encoded)
        bad |= {span[position]: reason for position, reason in batch.bad}
        usable: npt.NDArray[np.bool_] = np.all(np.isfinite(batch.vectors), axis=1)
        vectors.append(batch.vectors[usable])
        for position, check, fine in zip(batch.good, batch.checks, usable.tolist(), strict=True):
            if fine:
                rows.append(span[position])
                checks.append(check)
            else:
                bad[span[position]] = "embedding is not finite"
        truncated += batch.truncated
        watcher.advance(len(span))
    return Shard(
        np.array(rows, np.int64),
        np.array(checks, np.int64),
        np.concatenate(vectors),
        _failures(plan, number, bad),
        truncated,
    )


def _failures(plan: Plan, number: int, bad: dict[int, str]) -> tuple[Failure, ...]:
    if not bad:
        return ()
    shard = plan.shard(number)
    ids = islice(plan.ids(), shard.start, shard.stop)
    return tuple(
        plan.failure(row, item_id, bad[row])
        for row, item_id in zip(shard, ids, strict=True)
        if row in bad
    )
