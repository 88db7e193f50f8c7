"""Queries that measure an index, and what exact search answers to them."""

from collections.abc import Callable

import numpy as np

from tusou.core.arrays import Neighbors, Pixels, Vectors
from tusou.encoders import ImageEncoder, TextEncoder
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.base import best_first
from tusou.indexes.specs import FaissSpec

K = 10

_BETWEEN = 500
_DRAWN = 200
_SEED = 20_221
_BLOCK = 8_192
# Sums of some hundred products in float32, in another order, differ by less. Of a pool of thousands
# one query in a hundred has two items that near to each other at the end of its top 10.
_ROUNDING = 1e-6

_STYLES = ("红色", "黑色", "纯棉", "北欧", "复古", "儿童", "男士", "新款", "加厚", "防水", "大码")
_THINGS = (
    *("连衣裙", "皮鞋", "双肩包", "台灯", "沙发", "手机壳", "保温杯", "四件套", "口红", "手表"),
    *("羽绒服", "牛仔裤", "地毯", "水果刀", "猫粮", "键盘", "雨伞", "耳环", "拖鞋", "书架"),
)
PROBE_TEXTS = tuple(style + thing for style in _STYLES for thing in _THINGS)
_TEXTS, _AT_ONCE = len(PROBE_TEXTS), 20  # few, so that measuring takes no more memory than building


class RecallProbes:
    """Measures index_recall@10 over one pool, against exact search over the same vectors.

    There are two kinds of probes, because texts lie elsewhere than images do: points between
    pairs of stored vectors, and what is not stored in the vectors of the bundle's own model:
    product texts for images, drawn images for texts. What counts is the worse of the two.
    """

    def __init__(self, vectors: Vectors, asking: Vectors) -> None:
        self._vectors = vectors
        self._sets = [(probes, _exact(vectors, probes)) for probes in (_between(vectors), asking)]

    def recall(self, index: VectorIndex) -> float:
        """Say how often the index finds what exact search finds, on the worse set of probes."""
        return min(self._share(index, probes, truth) for probes, truth in self._sets)

    def _share(self, index: VectorIndex, probes: Vectors, truth: Neighbors) -> float:
        """Count what is as near as the last of the true top 10, whichever of equals it is."""
        ids, depth = index.search(probes, K).ids, min(K, len(self._vectors))
        scores = np.einsum("qd,qkd->qk", probes, self._vectors[ids])
        near = scores >= truth.scores[:, depth - 1 : depth] - _ROUNDING
        return float((near & (ids >= 0)).sum() / (len(probes) * depth))


def text_probes(encoder: TextEncoder) -> Callable[[], Vectors]:
    """Return what encodes the probe texts, once somebody wants them."""

    def encode() -> Vectors:
        parts = [PROBE_TEXTS[start : start + _AT_ONCE] for start in range(0, _TEXTS, _AT_ONCE)]
        return np.concatenate([encoder.encode(encoder.prepare(part)) for part in parts])

    return encode


def image_probes(load: Callable[[], ImageEncoder]) -> Callable[[], Vectors]:
    """Return what draws and encodes probe images; the tower is loaded when they are wanted."""

    def encode() -> Vectors:
        encoder = load()
        random = np.random.default_rng(_SEED)
        return encoder.encode(np.stack([_drawn(encoder.image_size, random) for _ in range(_DRAWN)]))

    return encode


def _drawn(size: int, random: np.random.Generator) -> Pixels:
    """Draw a few plain shapes on a plain ground: not a product, but where images lie."""
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[:] = random.integers(160, 256, 3)
    down, across = np.ogrid[:size, :size]
    for _ in range(int(random.integers(1, 6))):
        top, left = random.uniform(0, size, 2)
        high, wide = random.uniform(size / 8, size / 2, 2)
        y, x = (down - top) / high, (across - left) / wide
        inside = y * y + x * x < 1 if random.random() < 0.5 else np.maximum(abs(y), abs(x)) < 1
        pixels[inside] = random.integers(0, 256, 3)
    return pixels


def _between(vectors: Vectors) -> Vectors:
    """Draw queries from between the pool's vectors: harder than the vectors themselves."""
    pairs = np.random.default_rng(_SEED).integers(len(vectors), size=(2, _BETWEEN))
    between = vectors[pairs[0]] + vectors[pairs[1]]
    unit: Vectors = between / np.linalg.norm(between, axis=1, keepdims=True)
    return unit


def _exact(vectors: Vectors, queries: Vectors) -> Neighbors:
    best = Neighbors(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    for start in range(0, len(vectors), _BLOCK):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK])
        flat = create_index(FaissSpec("Flat"), vectors.shape[1])
        flat.add(np.arange(start, start + len(block), dtype=np.int64), block)
        found = flat.search(queries, K)
        best = best_first(np.hstack([best.ids, found.ids]), np.hstack([best.scores, found.scores]))
        best = Neighbors(best.ids[:, :K], best.scores[:, :K])
    return best
