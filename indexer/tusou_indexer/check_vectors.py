"""Checks every row of a file of vectors, and the file of their ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.bundle.given_vectors import GivenVectors
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset
from tusou.core.files import open_regular
from tusou.core.ids import Failure
from tusou.data.base import parse_item_id

# Vectors whose length differs from 1 by more are counted as scaled.
_SCALED = 1e-3
_MAX_LINE_BYTES = 2**16  # of ids


@dataclass(frozen=True, slots=True)
class CheckedVectors:
    """The usable rows of a file of vectors, and the reasons against the others."""

    ids: tuple[str, ...]  # of the usable rows
    rows: Ids  # their positions in the file, ascending
    failures: list[Failure]  # of all others; the line is that of the file of ids
    scaled: int  # usable rows that are not of unit length


def check_vectors(vectors: GivenVectors, ids: Path) -> CheckedVectors:
    """Read the ids of all rows and look at every number.

    Raises BadDataset when there are more ids than rows, or fewer.
    """
    named = _read_ids(ids, len(vectors))
    reasons = {row: bad for row, (_, bad) in enumerate(named) if bad is not None}
    seen: dict[str, None] = {}
    scaled = 0
    for start, _, norms in vectors.blocks():
        for row, norm in enumerate(norms.tolist(), start):
            item_id, _ = named[row]
            reason = reasons.get(row) or vectors.problem(norm)
            if reason is None and item_id in seen:
                reason = "duplicate id"
            if reason is not None:
                reasons[row] = reason
                continue
            seen[item_id] = None
            scaled += abs(norm - 1) > _SCALED
    failures = [Failure(row + 1, named[row][0] or None, reasons[row]) for row in sorted(reasons)]
    rows = np.setdiff1d(np.arange(len(vectors)), list(reasons), assume_unique=True)
    return CheckedVectors(tuple(seen), rows, failures, int(scaled))


def _read_ids(path: Path, count: int) -> list[tuple[str, str | None]]:
    """Return each line's id, and what is wrong with it; BadDataset unless there are `count`."""
    named: list[tuple[str, str | None]] = []
    with open_regular(path) as file:
        while len(named) <= count:
            line = file.readline(_MAX_LINE_BYTES)
            if not line:
                break
            if len(line) == _MAX_LINE_BYTES:
                raise BadDataset(f"{path}: line {len(named) + 1} is too long; write one id a line")
            if not named:
                line = line.removeprefix(b"\xef\xbb\xbf")
            named.append(_parse_id(line))
    if len(named) != count:
        more = "more" if len(named) > count else f"{len(named):,}"
        raise BadDataset(
            f"{path} holds {more} ids, and there are {count:,} vectors; write one id a line for "
            "each row"
        )
    return named


def _parse_id(line: bytes) -> tuple[str, str | None]:
    try:
        return parse_item_id(line.removesuffix(b"\n").removesuffix(b"\r")), None
    except ValueError as error:
        return "", str(error)
