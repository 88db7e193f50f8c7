"""Near duplicates: pairs of images that look alike, by perceptual hash or by a bundle's vectors."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou.core.lazy_import import extras_named
from tusou_lab.check.fingerprint import HASH_BYTES, THUMBNAIL_SIDE, ImageFingerprint

with extras_named("lab"):
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

# Bits of 256 that may differ. Of 300 photos of clothes, re-encoding at quality 40 or halving
# changes up to 14 bits, and cropping 2 % on each side up to 42 for nine photos in ten. Of 3,546
# different photos one pair is within all limits.
_MAX_BITS = 42
# Bits of the first 64, which hold the coarsest frequencies and change the least.
_MAX_COARSE_BITS = 20
# Mean difference of the thumbnails, of 255: the same cut in another colour is another image.
_MAX_COLOUR_DIFFERENCE = 8.0
# For vectors of a model, which know more of the meaning and less of details.
_MIN_COSINE = 0.99
_ROWS_PER_BLOCK = 256

Pairs = npt.NDArray[np.int64]  # (n, 2) positions, the first less than the second


def find_similar_fingerprints(fingerprints: Sequence[ImageFingerprint]) -> Pairs:
    """Return the pairs of images that look alike but differ in their bytes; compares all pairs."""
    words = np.frombuffer(b"".join(image.perceptual_hash for image in fingerprints), np.uint64)
    hashes = np.ascontiguousarray(words.reshape(-1, HASH_BYTES // 8).T)
    pixels = np.frombuffer(b"".join(image.thumbnail for image in fingerprints), np.uint8)
    thumbnails = pixels.reshape(-1, 3 * THUMBNAIL_SIDE**2)
    blocks = [
        _compare_block(hashes, thumbnails, first)
        for first in range(0, len(fingerprints), _ROWS_PER_BLOCK)
    ]
    pairs = np.concatenate(blocks) if blocks else np.empty((0, 2), np.int64)
    return exclude_same_bytes(pairs, fingerprints)


def exclude_same_bytes(pairs: Pairs, fingerprints: Sequence[ImageFingerprint]) -> Pairs:
    """Return the pairs of images whose bytes differ."""
    digests = np.frombuffer(b"".join(image.digest for image in fingerprints), "V16")
    different: Pairs = pairs[digests[pairs[:, 0]] != digests[pairs[:, 1]]]
    return different


def _compare_block(
    hashes: npt.NDArray[np.uint64], thumbnails: npt.NDArray[np.uint8], first: int
) -> Pairs:
    """Compare a block of images with all images from its first on."""
    block = slice(first, first + _ROWS_PER_BLOCK)
    # The first word rules out nearly all pairs; only the rest are compared in full.
    coarse_bits = np.bitwise_count(hashes[0, block, None] ^ hashes[0, None, first:])
    left, right = np.nonzero(coarse_bits <= _MAX_COARSE_BITS)
    later = right > left
    left, right = left[later] + first, right[later] + first
    bits = np.bitwise_count(hashes[:, left] ^ hashes[:, right]).sum(axis=0)
    left, right = left[bits <= _MAX_BITS], right[bits <= _MAX_BITS]
    difference = np.abs(thumbnails[left].astype(np.int16) - thumbnails[right]).mean(axis=1)
    pairs: Pairs = np.stack([left, right], axis=1)[difference <= _MAX_COLOUR_DIFFERENCE]
    return pairs


def find_similar_vectors(vectors: Vectors) -> Pairs:
    """Return the pairs of unit vectors, (n, dim), whose cosine is at least 0.99."""
    blocks = [np.empty((0, 2), np.int64)]
    for first in range(0, len(vectors), _ROWS_PER_BLOCK):
        cosines = vectors[first : first + _ROWS_PER_BLOCK] @ vectors[first:].T
        left, right = np.nonzero(cosines >= _MIN_COSINE)
        later = right > left
        blocks.append(np.stack([left[later], right[later]], axis=1) + first)
    return np.concatenate(blocks)


def group_pairs(pairs: Pairs) -> list[list[int]]:
    """Return the groups of positions that pairs connect, each ascending, the largest first."""
    positions, ends = np.unique(pairs, return_inverse=True)
    left, right = ends.reshape(-1, 2).T
    shape = (len(positions), len(positions))
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=shape)
    _, labels = connected_components(graph, directed=False)
    groups: dict[int, list[int]] = {}
    for label, position in zip(labels.tolist(), positions.tolist(), strict=True):
        groups.setdefault(label, []).append(position)
    return _largest_first(groups.values())


def group_same_bytes(fingerprints: Sequence[ImageFingerprint]) -> list[list[int]]:
    """Return the groups of positions of images with the same bytes, the largest first."""
    groups: dict[bytes, list[int]] = {}
    for position, image in enumerate(fingerprints):
        groups.setdefault(image.digest, []).append(position)
    return _largest_first(group for group in groups.values() if len(group) > 1)


def _largest_first(groups: Iterable[list[int]]) -> list[list[int]]:
    return sorted(groups, key=lambda group: (-len(group), group))
