"""Images keep their order through passes that overlap; one that fails leaves nothing behind."""

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

SIZE, MOST = 4, 3


def images(count: int) -> Pixels:
    return np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def corners(pixels: Tensor) -> Tensor:
    """Give the numbers of the first and the last pixel."""
    return torch.cat([pixels[:, 0, 0], pixels[:, -1, -1]], 1).float()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 20])
def test_every_image_gets_its_own_row(count: int) -> None:
    uploads = ImageTransfer(corners, 6, SIZE, MOST, torch.device("cpu"))
    for some in (images(count), images(count + 1)[:count]):
        found = uploads.encode(some)
        assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(found, np.hstack([some[:, 0, 0], some[:, -1, -1]]))


def test_passes_are_as_large_as_they_may_be() -> None:
    sizes: list[int] = []

    def forward(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return corners(pixels)

    ImageTransfer(forward, 6, SIZE, MOST, torch.device("cpu")).encode(images(8))
    assert sizes == [3, 3, 2]


def test_a_pass_that_fails_leaves_nothing_to_the_next_call() -> None:
    failing = [False, True]

    def forward(pixels: Tensor) -> Tensor:
        if failing and failing.pop(0):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return corners(pixels)

    uploads = ImageTransfer(forward, 6, SIZE, MOST, torch.device("cpu"))
    with pytest.raises(torch.OutOfMemoryError):
        uploads.encode(images(9))
    some = images(5)
    np.testing.assert_array_equal(uploads.encode(some)[:, :3], some[:, 0, 0])


@pytest.mark.gpu
def test_a_gpu_overlaps_and_keeps_the_order(tiny: "Sample") -> None:
    some = np.random.default_rng(1).integers(0, 256, (700, 64, 64, 3), np.uint8)
    weights = find_weights(str(tiny.path))
    found = load_image_encoder(weights, "cuda", "fp32").encode(some)
    expected = load_image_encoder(weights, "cpu", "fp32", "torch").encode(some)
    assert np.einsum("nd,nd->n", found, expected).min() >= 0.9999
