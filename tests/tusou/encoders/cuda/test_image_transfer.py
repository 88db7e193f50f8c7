"""Order of images through overlapping passes, and recovery from a failed pass."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from tusou.core.arrays import Pixels
from tusou.encoders import find_weights, load_image_encoder
from tusou.encoders.cuda.image_transfer import ImageTransfer

if TYPE_CHECKING:
    from tests.tusou.encoders.conftest import Sample

SIZE, MAX_IMAGES = 4, 3


def images(count: int) -> Pixels:
    return np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def corners(pixels: Tensor) -> Tensor:
    """Return the values of the first and the last pixel."""
    return torch.cat([pixels[:, 0, 0], pixels[:, -1, -1]], 1).float()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 20])
def test_every_image_gets_its_own_row(count: int) -> None:
    transfer = ImageTransfer(corners, 6, SIZE, MAX_IMAGES, torch.device("cpu"))
    for pixels in (images(count), images(count + 1)[:count]):
        rows = transfer.encode(pixels)
        assert (rows.dtype, rows.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(rows, np.hstack([pixels[:, 0, 0], pixels[:, -1, -1]]))


def test_passes_have_the_maximum_size() -> None:
    sizes: list[int] = []

    def forward(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return corners(pixels)

    ImageTransfer(forward, 6, SIZE, MAX_IMAGES, torch.device("cpu")).encode(images(8))
    assert sizes == [3, 3, 2]


def test_a_failed_pass_does_not_affect_the_next_call() -> None:
    failing = [False, True]

    def forward(pixels: Tensor) -> Tensor:
        if failing and failing.pop(0):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return corners(pixels)

    transfer = ImageTransfer(forward, 6, SIZE, MAX_IMAGES, torch.device("cpu"))
    with pytest.raises(torch.OutOfMemoryError):
        transfer.encode(images(9))
    pixels = images(5)
    np.testing.assert_array_equal(transfer.encode(pixels)[:, :3], pixels[:, 0, 0])


@pytest.mark.gpu
def test_a_gpu_overlaps_and_keeps_the_order(tiny: "Sample") -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (700, 64, 64, 3), np.uint8)
    weights = find_weights(str(tiny.path))
    vectors = load_image_encoder(weights, "cuda", "fp32").encode(pixels)
    expected = load_image_encoder(weights, "cpu", "fp32", "torch").encode(pixels)
    assert np.einsum("nd,nd->n", vectors, expected).min() >= 0.9999
