"""Groups of images with the same bytes, and of images that look the same as their first one."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tusou.core.arrays import Vectors
from tusou_lab.check.appearance import Appearances, Positions
from tusou_lab.check.fingerprint import ImageFingerprint

# Pairs below are not compared further. Of 966 planted duplicates of drawings and photos over 97 %
# are above, and 1 in 2,000 pairs of different drawings.
_MIN_DESCRIPTOR_COSINE = 0.92
# For vectors of a model, which know more of the meaning and less of details.
_MIN_VECTOR_COSINE = 0.9
_ROWS_PER_BLOCK = 64

# Positions of images, ascending; all others look the same as the first. An image may be in several.
Groups = list[list[int]]


def group_near_duplicates(
    fingerprints: Sequence[ImageFingerprint], vectors: Vectors | None = None
) -> Groups:
    """Return the groups of images that look the same but differ in their bytes, the largest first.

    Every image is compared with all others: those with a low cosine of their `vectors`, (n, dim)
    unit vectors of a model, or else of descriptors of their colours, are ruled out. Of images with
    the same bytes the first is compared.
    """
    firsts = _first_copies(fingerprints)
    looks = Appearances.from_thumbnails([fingerprints[n].thumbnail for n in firsts.tolist()])
    if vectors is None:
        groups = _group(looks.descriptors, _MIN_DESCRIPTOR_COSINE, looks)
    else:
        groups = _group(vectors[firsts], _MIN_VECTOR_COSINE, looks)
    return _largest_first(firsts[group].tolist() for group in groups)


def group_same_bytes(fingerprints: Sequence[ImageFingerprint]) -> Groups:
    """Return the groups of positions of images with the same bytes, the largest first."""
    groups: dict[bytes, list[int]] = {}
    for position, image in enumerate(fingerprints):
        groups.setdefault(image.digest, []).append(position)
    return _largest_first(group for group in groups.values() if len(group) > 1)


def _first_copies(fingerprints: Sequence[ImageFingerprint]) -> Positions:
    firsts: dict[bytes, int] = {}
    for position, image in enumerate(fingerprints):
        firsts.setdefault(image.digest, position)
    return np.fromiter(firsts.values(), np.int64, len(firsts))


def _group(vectors: Vectors, min_cosine: float, looks: Appearances) -> Groups:
    """Group each image with the later ones that look the same, unless one group has both."""
    group_of = np.full(len(vectors), -1, np.int64)
    groups: Groups = []
    for first in range(0, len(vectors), _ROWS_PER_BLOCK):
        cosines = vectors[first : first + _ROWS_PER_BLOCK] @ vectors[first:].T
        left, right = np.nonzero(cosines >= min_cosine)
        later = right > left
        left, right = left[later] + first, right[later] + first
        # Images of one group look the same as its first: most pairs of many copies end here.
        apart = (group_of[left] != group_of[right]) | (group_of[left] < 0)
        left, right = left[apart], right[apart]
        same_look = looks.compare(left, right)
        for position, similar in _by_first(left[same_look], right[same_look]):
            number = group_of[position]
            others = similar[(group_of[similar] != number) | (number < 0)]
            if not len(others):
                continue
            if number < 0:
                group_of[position] = len(groups)
            group_of[others[group_of[others] < 0]] = len(groups)
            groups.append([position, *others.tolist()])
    return groups


def _by_first(left: Positions, right: Positions) -> Iterator[tuple[int, Positions]]:
    """Yield each position of `left`, which ascends, with those that `right` pairs it with."""
    positions, starts = np.unique(left, return_index=True)
    ends = np.append(starts, len(right))[1:]
    for position, start, end in zip(positions.tolist(), starts, ends, strict=True):
        yield position, right[start:end]


def _largest_first(groups: Iterable[list[int]]) -> Groups:
    return sorted(groups, key=lambda group: (-len(group), group))
