"""The drawing of the pairs to judge: every item of the pool has a known probability.

The first results of every system are judged for certain. Below, the probability falls with the
rank, and every other item of the pool has a small one, so that what no system found can be
estimated. Each pair is drawn by the digest of the seed, the query and the item (Poisson sampling
with permanent random numbers): a pair stays drawn unless its probability falls. A larger budget
keeps all pairs; another system at the same budget shares it, and some are no longer drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids
from tusou.core.errors import InvalidRequest

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The numbers of items to judge for a query, and which of them for certain."""

    depth: int  # ranks of each system that belong to the pool
    certain: int  # first ranks of each system that are judged for certain
    ranked: float  # expected number below them, of the pool
    unranked: float  # expected number of all other items
    seed: int

    def __post_init__(self) -> None:
        """Raise InvalidRequest where an item could not be drawn: nothing could be estimated."""
        if not self.unranked > 0 or not (self.ranked > 0 or self.certain >= self.depth):
            raise InvalidRequest(
                "--ranked and --unranked must be above 0: items that are never drawn cannot be "
                "estimated"
            )


def best_ranks(rankings: Sequence[Ids], depth: int) -> dict[int, int]:
    """Return the best rank, from 1, of every row key among the first `depth` of the systems."""
    best: dict[int, int] = {}
    for keys in rankings:
        for rank, key in enumerate(keys[:depth].tolist(), 1):
            best[key] = min(rank, best.get(key, rank))
    return best


def probabilities(drawing: Drawing, best: Mapping[int, int], count: int) -> Shares:
    """Return the probability of each of `count` items, given the best ranks of those pooled."""
    shares = np.zeros(count)
    rest = count - len(best)
    if rest:
        shares[:] = min(1.0, drawing.unranked / rest)
    keys = np.fromiter(best, np.int64, len(best))
    ranks = np.fromiter(best.values(), np.float64, len(best))
    below = ranks > drawing.certain
    shares[keys] = 1.0
    shares[keys[below]] = _in_proportion(1 / ranks[below], drawing.ranked)
    return shares


def draw(drawing: Drawing, query: str, ids: Sequence[str], shares: Shares) -> Ids:
    """Return the row keys that are drawn for a query; `ids` are those of all items."""
    certain = np.flatnonzero(shares >= 1)
    possible = np.flatnonzero((shares > 0) & (shares < 1))
    numbers = _numbers(drawing.seed, query, [ids[key] for key in possible.tolist()])
    return np.union1d(certain, possible[numbers < shares[possible]])


def _in_proportion(weights: Shares, expected: float) -> Shares:
    """Return probabilities in proportion to weights that add up to `expected`, at most 1 each."""
    shares = np.ones(len(weights))
    free = np.ones(len(weights), np.bool_)
    while free.any():
        left = expected - (len(weights) - free.sum())
        scaled = weights[free] * max(left, 0.0) / weights[free].sum()
        if (scaled <= 1).all():
            shares[free] = scaled
            break
        free[np.flatnonzero(free)[scaled > 1]] = False
    return shares


def _numbers(seed: int, query: str, items: Sequence[str]) -> Shares:
    """Return the random numbers of a query's pairs, in [0, 1)."""
    begun = blake2b(f"{seed}\0{query}\0".encode(), digest_size=8)
    numbers = np.empty(len(items))
    for place, item in enumerate(items):
        digest = begun.copy()
        digest.update(item.encode())
        numbers[place] = int.from_bytes(digest.digest(), "big") / 2**64
    return numbers
