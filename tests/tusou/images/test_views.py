"""Views of an image, and images of several sizes side by side."""

import numpy as np
import pytest
from drawing import image_bytes

from tusou.core.errors import InvalidRequest
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform, pixel_shape, split_pixels
from tusou.images.views import Views


@pytest.mark.parametrize("names", ["none", "flip", "five_crops", "flip,five_crops"])
def test_names_of_views_are_read_and_written(names: str) -> None:
    views = Views.parse(names)
    assert str(views) == names
    assert bool(views) is (names != "none")
    assert str(Views.parse("five_crops,flip")) == "flip,five_crops"


@pytest.mark.parametrize("names", ["", "mirror", "flip,", "none,flip", "Flip"])
def test_unknown_views_are_refused(names: str) -> None:
    with pytest.raises(InvalidRequest, match="--views"):
        Views.parse(names)


def test_views_are_cut_from_the_decoded_image() -> None:
    pixels = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    views = Views.parse("flip,five_crops")
    assert (views.decoded_size(7), views.decoded_size(224), views.decoded_size(336)) == (
        8,
        256,
        384,
    )
    cut = list(views.cut(pixels, 7))
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0)]
    assert len(cut) == 10
    for number, (top, left) in enumerate(places):
        view = pixels[:, top : top + 7, left : left + 7]
        np.testing.assert_array_equal(cut[2 * number], view)
        np.testing.assert_array_equal(cut[2 * number + 1], view[:, :, ::-1])
    assert all(view.flags.c_contiguous for view in cut)


def test_several_sizes_stand_side_by_side_each_as_it_is_alone() -> None:
    image, size = open_image(image_bytes(3, side=90)), tuple(map(ImageTransform, (32, 48, 20)))
    pixels = to_pixels(image, size)
    assert pixels.shape == pixel_shape(size) == (48, 100, 3)
    by_transform = split_pixels(pixels[None], size)
    assert tuple(by_transform) == size
    for transform, alone in by_transform.items():
        np.testing.assert_array_equal(alone[0], to_pixels(image, transform))
        assert alone.flags.c_contiguous
