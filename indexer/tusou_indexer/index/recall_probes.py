"""Probe queries that measure the recall of an index."""

from collections.abc import Sequence

import numpy as np

from tusou.bundle.biased_vectors import as_queries
from tusou.core.arrays import Pixels, Vectors
from tusou.core.unit_vectors import join_parts
from tusou.encoders import TextEncoder, Weights, load_reference_image_encoder
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.images.transform import as_transforms
from tusou.indexes import VectorIndex

K = 10

_MIDPOINTS = 500
_DRAWN_IMAGES = 200
_SEED = 20_221

_STYLES = ("红色", "黑色", "纯棉", "北欧", "复古", "儿童", "男士", "新款", "加厚", "防水", "大码")
_THINGS = (
    *("连衣裙", "皮鞋", "双肩包", "台灯", "沙发", "手机壳", "保温杯", "四件套", "口红", "手表"),
    *("羽绒服", "牛仔裤", "地毯", "水果刀", "猫粮", "键盘", "雨伞", "耳环", "拖鞋", "书架"),
)
PROBE_TEXTS = tuple(style + thing for style in _STYLES for thing in _THINGS)
_TEXT_BATCH = 20  # small, so that measuring takes no more memory than building


class RecallProbes:
    """Measures index_recall@10 of indexes over one pool of vectors, which may have biases.

    Texts and images lie apart in the vector space, so there are two sets of probes: midpoints of
    stored vectors, and vectors of the other kind than the items (product texts for images, drawn
    images for texts; none without a model). Where vectors have biases, each set is searched with
    and without them. The lowest of the recalls counts.
    """

    def __init__(self, vectors: Vectors, other_kind: Vectors) -> None:
        self._vectors = vectors
        dim = other_kind.shape[1]
        sets = [_midpoints(vectors, dim), other_kind]
        if vectors.shape[1] > dim:
            sets = [
                as_queries(probes, adjust=adjust) for probes in sets for adjust in (True, False)
            ]
        self._sets = [
            (probes, exact_neighbors(vectors, probes, K)) for probes in sets if len(probes)
        ]

    def recall(self, index: VectorIndex) -> float:
        """Return index_recall@10 on the set of probes where it is lowest."""
        return min(
            index_recall(self._vectors, probes, index.search(probes, K).ids, exact, K)
            for probes, exact in self._sets
        )


def text_probes(encoder: TextEncoder) -> Vectors:
    """Encode the probe texts, (n, dim)."""
    starts = range(0, len(PROBE_TEXTS), _TEXT_BATCH)
    batches = [PROBE_TEXTS[start : start + _TEXT_BATCH] for start in starts]
    return np.concatenate([encoder.encode(encoder.prepare(batch)) for batch in batches])


def image_probes(models: Sequence[Weights], weights: Sequence[float] = (1.0,)) -> Vectors:
    """Draw probe images and encode them on the CPU in single precision, (n, dim).

    `models` are the checkpoints, `weights` those of an ensemble in the score.
    """
    encoders = map(load_reference_image_encoder, models)
    parts = [
        encoder.encode(_draw_images(transform.side))
        for encoder in encoders
        for transform in as_transforms(encoder.transform)
    ]
    return parts[0] if len(parts) == 1 else join_parts(parts, weights)


def _draw_images(size: int) -> Pixels:
    random = np.random.default_rng(_SEED)
    return np.stack([_draw_image(size, random) for _ in range(_DRAWN_IMAGES)])


def _draw_image(size: int, random: np.random.Generator) -> Pixels:
    """Draw a few plain shapes on a plain background: not a product, but where images lie."""
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[:] = random.integers(160, 256, 3)
    down, across = np.ogrid[:size, :size]
    for _ in range(int(random.integers(1, 6))):
        top, left = random.uniform(0, size, 2)
        height, width = random.uniform(size / 8, size / 2, 2)
        y, x = (down - top) / height, (across - left) / width
        inside = y * y + x * x < 1 if random.random() < 0.5 else np.maximum(abs(y), abs(x)) < 1
        pixels[inside] = random.integers(0, 256, 3)
    return pixels


def _midpoints(vectors: Vectors, dim: int) -> Vectors:
    """Return midpoints of pairs of stored vectors: harder queries than the vectors themselves."""
    pairs = np.random.default_rng(_SEED).integers(len(vectors), size=(2, _MIDPOINTS))
    sums = vectors[pairs[0], :dim] + vectors[pairs[1], :dim]
    unit: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit
