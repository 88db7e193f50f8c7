"""From a pool's plan to embedding shards: resumable, in bounded memory."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from indexer.decode import Decoded, Decoder
from indexer.plan import Plan
from tusou.encoders.base import ImageEncoder
from tusou.progress import Watcher
from tusou.shards import Shard, ShardStore
from tusou.types import Failure, Vectors


def embed(
    plan: Plan, store: ShardStore, encoder: ImageEncoder, decoder: Decoder, watcher: Watcher
) -> int:
    """Encode every shard that is not stored yet; return how many rows that took."""
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    rows = sum(len(plan.shard(number)) for number in missing)
    watcher.begin("encoding", len(plan), len(plan) - rows)
    # One stream over all missing shards, so that decoding runs ahead across their borders.
    spans = (span for number in missing for span in _batches(plan, number))
    decoded = decoder.decode(plan.places(span) for span in spans)
    for number in missing:
        store.write(number, _encode_shard(plan, number, decoded, encoder, watcher))
    return rows


def _batches(plan: Plan, number: int) -> Iterator[range]:
    shard, size = plan.shard(number), plan.inputs.batch_rows
    for start in range(shard.start, shard.stop, size):
        yield range(start, min(start + size, shard.stop))


def _encode_shard(
    plan: Plan,
    number: int,
    decoded: Iterator[Decoded],
    encoder: ImageEncoder,
    watcher: Watcher,
) -> Shard:
    rows: list[int] = []
    vectors: list[Vectors] = []
    bad: dict[int, str] = {}
    for span in _batches(plan, number):
        batch = next(decoded)
        bad |= {span[position]: reason for position, reason in batch.bad}
        encoded, usable = _encode(encoder, batch)
        vectors.append(encoded[usable])
        for position, fine in zip(batch.good, usable.tolist(), strict=True):
            if fine:
                rows.append(span[position])
            else:
                bad[span[position]] = "embedding is not finite"
        watcher.advance(len(span))
    return Shard(np.array(rows, np.int64), np.concatenate(vectors), _failures(plan, number, bad))


def _encode(encoder: ImageEncoder, batch: Decoded) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    if not batch.good:
        return np.empty((0, encoder.dim), np.float32), np.empty(0, np.bool_)
    encoded = encoder.encode(batch.pixels)
    usable: npt.NDArray[np.bool_] = np.all(np.isfinite(encoded), axis=1)
    return encoded, usable


def _failures(plan: Plan, number: int, bad: dict[int, str]) -> tuple[Failure, ...]:
    if not bad:
        return ()
    shard = plan.shard(number)
    lines = plan.places(shard)[:, 0]
    ids = islice(plan.ids(), shard.start, shard.stop)
    return tuple(
        Failure(int(line), item_id, bad[row])
        for row, line, item_id in zip(shard, lines, ids, strict=True)
        if row in bad
    )
