"""Images that look alike: by fingerprint, or by the vectors of a bundle."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou_lab.check.fingerprint import HASH_BYTES, SMALL_SIDE, Looks

# Of 256 bits; re-encoding, halving and a cut edge change up to 42, of 850 other photos no two are
# less than 51 apart. The first 64 are the coarsest, and change the least.
_BITS = 42
_COARSE_BITS = 20
# Mean difference of the small copies, of 255: the same cut in another colour is another image.
_COLOUR = 8.0
# By the vectors of a model, which knows less of detail and more of meaning.
LEAST_COSINE = 0.99
_ROWS = 256

Pairs = npt.NDArray[np.int64]  # (n, 2), the first less than the second


def near_by_looks(looks: Sequence[Looks]) -> Pairs:
    """Find pairs that look alike and are not the same bytes, by comparing all with all."""
    words = np.frombuffer(b"".join(one.hashed for one in looks), np.uint64)
    hashed = np.ascontiguousarray(words.reshape(-1, HASH_BYTES // 8).T)
    small = np.frombuffer(b"".join(one.small for one in looks), np.uint8)
    small = small.reshape(-1, 3 * SMALL_SIDE**2)
    digests = np.frombuffer(b"".join(one.digest for one in looks), "V16")
    found = [_alike(hashed, small, first) for first in range(0, len(looks), _ROWS)]
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    differ: Pairs = pairs[digests[pairs[:, 0]] != digests[pairs[:, 1]]]
    return differ


def _alike(hashed: npt.NDArray[np.uint64], small: npt.NDArray[np.uint8], first: int) -> Pairs:
    rows = slice(first, first + _ROWS)
    # The first word rules out nearly all; the others are counted for what is left.
    apart = np.bitwise_count(hashed[0, rows, None] ^ hashed[0, None, first:])
    left, right = np.nonzero(apart <= _COARSE_BITS)
    later = right > left
    left, right = left[later] + first, right[later] + first
    bits = np.bitwise_count(hashed[:, left] ^ hashed[:, right]).sum(axis=0)
    left, right = left[bits <= _BITS], right[bits <= _BITS]
    colour = np.abs(small[left].astype(np.int16) - small[right]).mean(axis=1)
    pairs: Pairs = np.stack([left, right], axis=1)[colour <= _COLOUR]
    return pairs


def near_by_vectors(vectors: Vectors, least: float = LEAST_COSINE) -> Pairs:
    """Find pairs of vectors whose cosine is at least so much."""
    found = [np.empty((0, 2), np.int64)]
    for first in range(0, len(vectors), _ROWS):
        scores = vectors[first : first + _ROWS] @ vectors[first:].T
        left, right = np.nonzero(scores >= least)
        later = right > left
        found.append(np.stack([left[later], right[later]], axis=1) + first)
    return np.concatenate(found)


def groups(pairs: Pairs) -> list[list[int]]:
    """Join pairs that share an image; each group ascending, the largest first."""
    leader: dict[int, int] = {}

    def lead(one: int) -> int:
        while leader.setdefault(one, one) != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    for left, right in pairs.tolist():
        one, other = sorted((lead(left), lead(right)))
        leader[other] = one
    joined: dict[int, list[int]] = {}
    for one in sorted(leader):
        joined.setdefault(lead(one), []).append(one)
    return sorted(joined.values(), key=lambda group: (-len(group), group))


def same_bytes(looks: Sequence[Looks]) -> list[list[int]]:
    """Group images of the very same bytes, the largest group first."""
    found: dict[bytes, list[int]] = {}
    for place, one in enumerate(looks):
        found.setdefault(one.digest, []).append(place)
    several = (group for group in found.values() if len(group) > 1)
    return sorted(several, key=lambda group: (-len(group), group))


def across(found: Sequence[Sequence[int]], splits: Sequence[str]) -> Iterator[list[int]]:
    """Yield the groups that lie in several splits."""
    for group in found:
        if len({splits[place] for place in group}) > 1:
            yield list(group)
