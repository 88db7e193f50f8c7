"""Query images are encoded only with the transform that they were prepared with."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
from tusou_service.images.query_encoder import (
    ImageBatcher,
    ImagePipeline,
    ImageQueryEncoder,
    PreparedImage,
)
from tusou_service.observability.metrics import Metrics

from tusou.core.arrays import Pixels
from tusou.core.errors import NotReady
from tusou.images.transform import ImageTransform, Transforms
from tusou.retrieval.query import VectorPart

SQUASH = ImageTransform(8)
CROP = ImageTransform(8, fit="crop")


@dataclass
class Reloadable:
    """A pipeline whose transform a reload changes; it records what it encodes."""

    transform: Transforms
    encoded: list[Pixels] = field(default_factory=list)

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        self.encoded.append(pixels)
        return [VectorPart(np.ones(4, np.float32), "a") for _ in pixels]


def encoder_of(pipeline: Reloadable) -> ImageQueryEncoder:
    async def run_in_loader(_: Any) -> None:
        raise AssertionError

    batcher = cast("ImageBatcher", None)  # the batches are given directly
    return ImageQueryEncoder(
        "lazy", batcher, lambda: cast("ImagePipeline", pipeline), run_in_loader, Metrics()
    )


def prepared(transform: Transforms) -> PreparedImage:
    width = 8 if isinstance(transform, ImageTransform) else 16
    return PreparedImage(np.zeros((8, width, 3), np.uint8), transform)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(CROP, id="crop"),
        pytest.param(replace(SQUASH, interpolation="bilinear"), id="interpolation"),
        pytest.param(replace(SQUASH, rgb_first=True), id="order"),
    ],
)
def test_an_image_of_another_transform_of_the_same_size_is_sent_again(other: Transforms) -> None:
    pipeline = Reloadable(SQUASH)
    encoder = encoder_of(pipeline)
    assert len(encoder.encode_batch([prepared(SQUASH)] * 2)) == 2
    pipeline.transform = other
    with pytest.raises(NotReady, match="send the image again"):
        encoder.encode_batch([prepared(other), prepared(SQUASH)])
    assert len(pipeline.encoded) == 1


def test_the_order_of_the_transforms_of_an_ensemble_matters() -> None:
    pipeline = Reloadable((SQUASH, CROP))
    encoder = encoder_of(pipeline)
    with pytest.raises(NotReady, match="send the image again"):
        encoder.encode_batch([prepared((CROP, SQUASH))])
    assert len(encoder.encode_batch([prepared((SQUASH, CROP))])) == 1
