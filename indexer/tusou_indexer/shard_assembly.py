"""Shards put together from vectors of published versions and newly encoded ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.content import DIGEST_BYTES, ContentDigests
from tusou.bundle.shards import ReusedRows, Shard
from tusou.core.arrays import Ids, Vectors
from tusou_indexer.plan import Plan


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row that has been encoded."""

    check: int  # CRC-32 of the stored bytes
    content: bytes  # digest
    vector: npt.NDArray[np.float32]  # (d,)
    truncated: bool = False  # a text longer than the model reads


# An encoded row, or the reason why the row cannot be used.
Outcome: TypeAlias = EncodedRow | str


class StoredVectors(Protocol):
    """The vectors of a version's items, (n, d), by row key."""

    def __getitem__(self, keys: Ids, /) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """The rows of one shard whose vectors published versions hold."""

    rows: Ids  # (n,) positions in the plan, ascending
    checks: Ids  # (n,) CRC-32 of the stored bytes
    contents: ContentDigests  # (n, 16)
    # positions in `rows`, a version's vectors, keys
    vectors: Sequence[tuple[Ids, StoredVectors, Ids]] = ()
    reused: Sequence[ReusedRows] = ()
    truncated: int = 0


NO_MATCHES = MatchedRows(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, DIGEST_BYTES), np.uint8)
)


def unmatched_rows(plan: Plan, number: int, matched: MatchedRows) -> Ids:
    """Return the rows of a shard that must be encoded, ascending."""
    return np.setdiff1d(_rows(plan, number), matched.rows, assume_unique=True)


def assemble_shard(
    plan: Plan, number: int, matched: MatchedRows, encoded: Iterator[Outcome], dim: int
) -> tuple[Shard, Vectors]:
    """Return a shard and its vectors; `encoded` yields the outcomes of its unmatched rows."""
    rows = _rows(plan, number)
    usable = np.zeros(len(rows), np.bool_)
    checks, vectors = np.zeros(len(rows), np.int64), np.empty((len(rows), dim), np.float32)
    contents = np.zeros((len(rows), DIGEST_BYTES), np.uint8)
    places = matched.rows - rows[0]
    usable[places], checks[places], contents[places] = True, matched.checks, matched.contents
    for mine, stored, keys in matched.vectors:
        vectors[places[mine]] = stored[keys]
    reasons: dict[int, str] = {}
    truncated = matched.truncated
    for row in unmatched_rows(plan, number, matched).tolist():
        outcome, place = next(encoded), row - rows[0]
        if isinstance(outcome, str):
            reasons[row] = outcome
            continue
        usable[place], checks[place], vectors[place] = True, outcome.check, outcome.vector
        contents[place] = np.frombuffer(outcome.content, np.uint8)
        truncated += outcome.truncated
    failures = [plan.failure(row, item_id, reasons[row]) for row, item_id in _ids(plan, reasons)]
    shard = Shard(
        rows[usable], checks[usable], contents[usable], failures, truncated, matched.reused
    )
    return shard, vectors[usable]


def _rows(plan: Plan, number: int) -> Ids:
    shard = plan.shard(number)
    return np.arange(shard.start, shard.stop, dtype=np.int64)


def _ids(plan: Plan, rows: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Yield the ids of some rows, ascending; the ids are in a file that is read from its start."""
    if rows:
        for row, item_id in enumerate(islice(plan.ids(), max(rows) + 1)):
            if row in rows:
                yield row, item_id
