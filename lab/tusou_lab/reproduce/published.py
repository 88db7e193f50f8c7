"""Published results of Chinese-CLIP on the valid split of MUGE, text to image.

From the table of its repository (OFA-Sys/Chinese-CLIP, Results.md) and its paper, arXiv 2211.01335.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tusou.encoders import MODELS, Weights, resolve_encoder
from tusou.encoders.architecture import ImageShape
from tusou.encoders.families.chinese_clip import ChineseClip

Training: TypeAlias = Literal["zero-shot", "fine-tuned"]

METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall")
_TRAININGS: tuple[Training, ...] = ("zero-shot", "fine-tuned")
_PERCENT = {
    "RN50": ((42.6, 68.6, 77.9, 63.0), (48.6, 75.1, 84.0, 69.2)),
    "ViT-B-16": ((52.1, 76.7, 84.4, 71.1), (58.4, 83.6, 90.0, 77.4)),
    "ViT-L-14": ((56.3, 79.8, 86.2, 74.1), (63.3, 85.6, 91.3, 80.1)),
    "ViT-L-14-336": ((59.0, 81.4, 87.8, 76.1), (65.3, 86.7, 92.1, 81.3)),
    "ViT-H-14": ((63.0, 84.1, 89.2, 78.8), (68.9, 88.7, 93.1, 83.6)),
}
# Length of the vectors; and side of the images, depth and width of the image tower.
_SHAPES: Mapping[tuple[int, int, int | tuple[int, ...], int], str] = {
    (1024, 224, (3, 4, 6, 3), 64): "RN50",
    (512, 224, 12, 768): "ViT-B-16",
    (768, 224, 24, 1024): "ViT-L-14",
    (768, 336, 24, 1024): "ViT-L-14-336",
    (1024, 224, 32, 1280): "ViT-H-14",
}


@dataclass(frozen=True, slots=True)
class DataSize:
    """The size of a split."""

    queries: int
    images: int


OFFICIAL_VALID = DataSize(5008, 29_806)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """The published figures of one model."""

    model: str
    training: Training
    percent: Mapping[str, float]


def published_rows(family: str | None) -> tuple[PublishedRow, ...]:
    """Return the rows of a published architecture, zero-shot first; none of another one."""
    if family not in _PERCENT:
        return ()
    figures = zip(_TRAININGS, _PERCENT[family], strict=True)
    return tuple(
        PublishedRow(family, training, dict(zip(METRICS, row, strict=True)))
        for training, row in figures
    )


def family_of(weights: Weights) -> str | None:
    """Return the published architecture that a checkpoint has, by name or by shape."""
    if weights.name in MODELS:
        return weights.name
    resolved = resolve_encoder(weights, "image", "cpu", "fp32")
    shape, record = resolved.shape, resolved.record
    # CLIP's towers have the shapes of Chinese-CLIP's.
    if not isinstance(shape, ImageShape) or (record and record.family != ChineseClip.name):
        return None
    return _SHAPES.get(_key(shape))


def _key(shape: ImageShape) -> tuple[int, int, int | tuple[int, ...], int]:
    return shape.embed_dim, shape.image_resolution, shape.vision_layers, shape.vision_width
