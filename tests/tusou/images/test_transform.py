"""Images that are cropped: bit for bit those of torchvision, as open_clip uses it."""

import resource

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from tusou.images.preprocess import MAX_IMAGE_SIDE, to_pixels
from tusou.images.transform import ImageTransform, Interpolation

SIDE = 32
# Margins of an even number of pixels, of 4n + 1 and of 4n + 3; both orientations, and too small.
SIZES = [(64, 64), (64, 70), (70, 64), (64, 66), (66, 64), (200, 97), (97, 202), (20, 21), (1, 9)]


def noise(width: int, height: int, mode: str) -> Image.Image:
    drawn = np.random.default_rng(width).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(drawn, "RGBA").convert(mode)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize("shorter", [None, 37])
def test_a_crop_is_that_of_torchvision(
    size: tuple[int, int], mode: str, shorter: int | None
) -> None:
    image = noise(*size, mode)
    steps = [Resize(shorter or SIDE, InterpolationMode.BICUBIC), CenterCrop(SIDE)]
    expected = Compose(steps)(image).convert("RGB")
    transform = ImageTransform(SIDE, "crop", shorter, round_crop=True)
    np.testing.assert_array_equal(to_pixels(image, transform), np.array(expected))


def test_without_rounding_half_a_pixel_of_margin_is_dropped() -> None:
    rounded = ImageTransform(SIDE, "crop", round_crop=True)
    dropped = ImageTransform(SIDE, "crop")
    lengths = range(SIDE, SIDE + 5)
    assert [rounded.crop_start(length) for length in lengths] == [0, 0, 1, 2, 2]
    assert [dropped.crop_start(length) for length in lengths] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("size", [(900, 40), (41, 900), (1000, 33)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("shorter", [None, 36])
def test_the_middle_of_a_strip_is_the_same_cut_out_before_or_after_the_resize(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    interpolation: Interpolation,
    shorter: int | None,
) -> None:
    image = noise(*size, "RGB")
    transform = ImageTransform(32, "crop", shorter, interpolation)
    resized_whole = to_pixels(image, transform).astype(int)
    monkeypatch.setattr("tusou.images.preprocess._MAX_RESIZED", 0)
    assert np.abs(to_pixels(image, transform) - resized_whole).max() <= 2


@pytest.mark.parametrize("size", [(MAX_IMAGE_SIDE, 1), (1, MAX_IMAGE_SIDE), (MAX_IMAGE_SIDE, 3)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1"])
def test_a_strip_takes_no_more_memory_than_its_square(size: tuple[int, int], mode: str) -> None:
    """Resized whole to 448 pixels of height, one pixel of height would make 13 gigapixels."""
    image = Image.new("RGB", size, (200, 30, 60)).convert(mode)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = to_pixels(image, ImageTransform(448, "crop"))
    assert pixels.shape == (448, 448, 3)
    if mode == "RGB":
        assert (pixels == (200, 30, 60)).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB
