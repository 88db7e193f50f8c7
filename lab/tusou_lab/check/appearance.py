"""Comparison of the appearance of images, from their thumbnails, with the background left out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou_lab.check.fingerprint import THUMBNAIL_SIDE

# Limits chosen on 1,174 drawings on white, 1,174 in rooms and 1,512 photos of clothes, among them
# the same products in other colours (`benchmarks.near_duplicates --tune --products 220`); the
# published figures are of other images.
_MAX_DIFFERENCE = 11.0  # mean over the foreground, of 255; a pixel counts at most _CAP
_CAP = 30.0
_MAX_BLOCK_DIFFERENCE = 24.0  # of the worst of 6 x 6 blocks, in any channel
_MAX_SIXTH_BLOCK_DIFFERENCE = 9.0  # of the sixth worst: a watermark may change five
_MAX_THIRD_BLOCK_TINT = 8.0  # of red and blue against green: watermarks and light hardly change it
_GAINS = 0.85, 1.18  # an image may be darker or brighter by this factor
_SATURATED = 250.0  # values from here on do not say by how much an image is brighter
# Cheaper limits first: mean colour of the foreground, and difference without alignment.
_MAX_MEAN_COLOUR_DIFFERENCE = 16.0
_MAX_UNALIGNED_DIFFERENCE = 25.0

_MIN_BACKGROUND_DIFFERENCE = 16.0  # of the foreground, of 255, in one channel
_MIN_BACKGROUND_SHARE = 0.6  # of the border; else the whole image is foreground
_BACKGROUND_WEIGHT = 0.02  # against 1 for the foreground
_BORDER = 2  # pixels
_CUTS = 0.0, 0.0125, 0.025, 0.0375, 0.05, 0.0625  # shares that may be cut off at one end
_POOLED_SIDE, _BLOCKS, _DESCRIPTOR_SIDE = 12, 6, 8
_IMAGES_PER_BATCH, _PAIRS_PER_BATCH = 2048, 1024

Floats = npt.NDArray[np.float32]  # images: (n, side, side, 3), 0 to 255
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Appearances:
    """The thumbnails of images, which of their pixels are foreground, and descriptors.

    `thumbnails` is (n, 24, 24, 3), `foregrounds` (n, 72) packed bits, `descriptors` (n, 192) unit
    vectors of the coarse colours without the background: near duplicates have a cosine near 1.
    """

    thumbnails: npt.NDArray[np.uint8]
    foregrounds: npt.NDArray[np.uint8]
    mean_colours: Floats  # (n, 3), of the foreground
    descriptors: Vectors

    @classmethod
    def from_thumbnails(cls, thumbnails: Sequence[bytes]) -> Self:
        """Take the RGB pixels of thumbnails."""
        side = THUMBNAIL_SIDE
        pixels = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, side, side, 3)
        parts = [_describe(batch.astype(np.float32)) for batch in _batches(pixels)]
        foregrounds, colours, descriptors = (np.concatenate(part) for part in zip(*parts))  # noqa: B905
        return cls(pixels, foregrounds, colours, descriptors)

    def compare(self, left: Positions, right: Positions) -> npt.NDArray[np.bool_]:
        """Return for each pair of images whether they look the same."""
        similar = np.zeros(len(left), np.bool_)
        a, b = self.mean_colours[left], self.mean_colours[right]
        gain = _fit_gain((a * b).sum(axis=1), (b * b).sum(axis=1))
        close = np.abs(a - gain[:, None] * b).max(axis=1) <= _MAX_MEAN_COLOUR_DIFFERENCE
        candidates = np.flatnonzero(close)
        for first in range(0, len(candidates), _PAIRS_PER_BATCH):
            batch = candidates[first : first + _PAIRS_PER_BATCH]
            similar[batch] = _compare_pairs(self._layers(left[batch]), self._layers(right[batch]))
        return similar

    def _layers(self, positions: Positions) -> Floats:
        """Return thumbnails with their foreground as a fourth channel, 0 or 1."""
        side = THUMBNAIL_SIDE
        foreground = np.unpackbits(self.foregrounds[positions], axis=1).reshape(-1, side, side, 1)
        return np.concatenate([self.thumbnails[positions], foreground], axis=3).astype(np.float32)


def _batches(pixels: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for first in range(0, max(len(pixels), 1), _IMAGES_PER_BATCH):
        yield pixels[first : first + _IMAGES_PER_BATCH]


def _describe(images: Floats) -> tuple[npt.NDArray[np.uint8], Floats, Floats]:
    """Return the foregrounds as packed bits, their mean colours, and the descriptors."""
    background, share = _fit_background(images)
    difference = images - background
    foreground = np.abs(difference).max(axis=3) > _MIN_BACKGROUND_DIFFERENCE
    foreground[share < _MIN_BACKGROUND_SHARE] = True
    weight = np.maximum(foreground, _BACKGROUND_WEIGHT, dtype=np.float32)[..., None]
    colours = (images * weight).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))
    coarse = _pool(difference, _DESCRIPTOR_SIDE).reshape(len(images), 3 * _DESCRIPTOR_SIDE**2)
    norms = np.sqrt((coarse * coarse).sum(axis=1, keepdims=True))
    packed = np.packbits(foreground.reshape(len(images), THUMBNAIL_SIDE**2), axis=1)
    return packed, colours, coarse / np.maximum(norms, 1e-6)


def _plane() -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return 1, x and y of each pixel, and which pixels are on the border."""
    y, x = np.mgrid[0:THUMBNAIL_SIDE, 0:THUMBNAIL_SIDE]
    nearest = np.minimum(np.minimum(x, y), THUMBNAIL_SIDE - 1 - np.maximum(x, y))
    centred = [np.ones(x.size), *((axis.ravel() / (THUMBNAIL_SIDE - 1) - 0.5) for axis in (x, y))]
    return np.stack(centred, axis=1).astype(np.float32), nearest.ravel() < _BORDER


def _fit_background(images: Floats) -> tuple[Floats, Floats]:
    """Fit a plane to the border's colours; return it, and the share of the border that is near it.

    Pixels far from the plane count less in the next round, so a product may touch the border.
    """
    plane, on_border = _plane()
    border = images.reshape(len(images), THUMBNAIL_SIDE**2, 3)[:, on_border]
    basis = plane[on_border]
    weight = np.ones(border.shape[:2], np.float32)
    for _ in range(4):
        weighted = weight[..., None] * basis
        normal = np.matmul(basis.T, weighted) + 1e-3 * np.eye(3, dtype=np.float32)
        fit = np.linalg.solve(normal, np.matmul(weighted.transpose(0, 2, 1), border))
        error = np.abs(border - np.matmul(basis, fit)).max(axis=2)
        weight = 1 / (1 + (error / (_MIN_BACKGROUND_DIFFERENCE / 2)) ** 2)
    background = np.matmul(plane, fit).reshape(images.shape)
    return background, (error < _MIN_BACKGROUND_DIFFERENCE).mean(axis=1, dtype=np.float32)


def _compare_pairs(left: Floats, right: Floats) -> npt.NDArray[np.bool_]:
    """Compare (n, 24, 24, 4) images as they are, then the rest with parts of each other."""
    similar, difference = _judge(left, right)
    for a, b, cut in (
        (right, left, False),  # a bright colour that saturates is found in one direction only
        (left, right, True),
        (right, left, True),
    ):
        rest = np.flatnonzero(~similar & (difference <= _MAX_UNALIGNED_DIFFERENCE))
        if len(rest):
            part = _align(a[rest], b[rest]) if cut else b[rest]
            similar[rest], _ = _judge(a[rest], part)
    return similar


def _judge(left: Floats, right: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return whether aligned images look the same, and their mean difference."""
    left, right = _pool(left, _POOLED_SIDE), _pool(right, _POOLED_SIDE)
    weight = np.maximum(left[..., 3:], right[..., 3:]) + _BACKGROUND_WEIGHT
    a, b = left[..., :3], right[..., :3]
    axes = (1, 2, 3)
    unsaturated = weight * (a < _SATURATED)
    gain = _fit_gain((unsaturated * a * b).sum(axis=axes), (unsaturated * b * b).sum(axis=axes))
    difference = a - np.minimum(255, b * gain[:, None, None, None])
    capped = np.minimum(np.abs(difference).max(axis=3, keepdims=True), _CAP)
    mean = (weight * capped).sum(axis=axes) / weight.sum(axis=axes)
    blocks = _pool(difference, _BLOCKS).reshape(len(a), _BLOCKS**2, 3)
    worst = np.sort(np.abs(blocks).max(axis=2), axis=1)
    tint = np.sort(np.abs(blocks[..., (0, 2)] - blocks[..., 1:2]).max(axis=2), axis=1)
    similar = (
        (mean <= _MAX_DIFFERENCE)
        & (worst[:, -1] <= _MAX_BLOCK_DIFFERENCE)
        & (worst[:, -6] <= _MAX_SIXTH_BLOCK_DIFFERENCE)
        & (tint[:, -3] <= _MAX_THIRD_BLOCK_TINT)
    )
    return similar, mean


def _fit_gain(products: Floats, squares: Floats) -> Floats:
    """Return the factor of brightness of the right image that brings it nearest to the left."""
    # One is added for images without a pixel of use.
    gain: Floats = np.clip((products + 1) / (squares + 1), *_GAINS)
    return gain


def _align(left: Floats, right: Floats) -> Floats:
    """Return the part of each right image, resampled, that fits the left image best."""
    by_row = _SAMPLERS[_choose_part(left.mean(axis=2), right.mean(axis=2))]
    by_column = _SAMPLERS[_choose_part(left.mean(axis=1), right.mean(axis=1))]
    rows = np.matmul(by_row, right.reshape(len(right), THUMBNAIL_SIDE, -1)).reshape(right.shape)
    aligned: Floats = np.matmul(by_column[:, None], rows)
    return aligned


def _choose_part(left: Floats, right: Floats) -> Positions:
    """Return the sampler of a part of the right profiles that correlates best with the left."""
    side = THUMBNAIL_SIDE
    left, right = left[..., :3], right[..., :3]
    left = left - left.mean(axis=1, keepdims=True)
    flat = np.ascontiguousarray(right.transpose(1, 0, 2)).reshape(side, -1)
    parts = (_CENTRED_SAMPLERS @ flat).reshape(len(_SAMPLERS), side, len(right), 3)
    products = np.einsum("psnc,nsc->np", parts, left)
    squares = np.einsum("psnc,psnc->np", parts, parts)
    best: Positions = (products / np.sqrt(squares + 1)).argmax(axis=1)
    return best


def _sampler(low: float, high: float) -> Floats:
    """Return the matrix that samples the part from `low` to `high` of an axis, linearly."""
    side = THUMBNAIL_SIDE
    centres = (low + (np.arange(side) + 0.5) / side * (high - low)) * side - 0.5
    floor = np.clip(np.floor(centres), 0, side - 2).astype(np.int64)
    share = np.clip(centres - floor, 0, 1)
    matrix = np.zeros((side, side), np.float32)
    matrix[np.arange(side), floor] = 1 - share
    matrix[np.arange(side), floor + 1] = share
    return matrix


def _pool(images: Floats, side: int) -> Floats:
    """Return images averaged down to `side` x `side` pixels."""
    step = images.shape[1] // side
    shape = len(images), side, step, side, step, images.shape[3]
    pooled: Floats = images.reshape(shape).mean(axis=(2, 4))
    return pooled


def _stack(samplers: Iterable[Floats]) -> Floats:
    return np.stack(list(samplers))


_SAMPLERS = _stack(_sampler(low, 1 - high) for low in _CUTS for high in _CUTS)
_CENTRED_SAMPLERS = (_SAMPLERS - _SAMPLERS.mean(axis=1, keepdims=True)).reshape(-1, THUMBNAIL_SIDE)
