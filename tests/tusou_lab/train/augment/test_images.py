"""Random changes of images by named policies."""

import numpy as np
import pytest
from tusou_lab.train.augment.images import IMAGE_POLICIES, augment_images
from tusou_lab.train.augment.sides import names_side

SIDE = 32


def photos(count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 216, (count, 4, 4, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", list(IMAGE_POLICIES))
def test_each_policy_repeats_from_the_seed_and_leaves_its_argument(name: str) -> None:
    images = photos()
    first, second = (augment_images(images, np.random.default_rng(5), (name,)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(images, photos())
    assert (first.shape, first.dtype) == (images.shape, np.uint8)
    changed = (first != images).any(axis=(1, 2, 3)).mean()
    assert changed > (0.3 if name in {"flip", "cut-out"} else 0.9)


def test_only_images_that_may_be_are_mirrored() -> None:
    images, may_flip = photos(), np.arange(40) % 2 == 0
    flipped = augment_images(images, np.random.default_rng(5), ("flip",), may_flip)
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == images).all(axis=(1, 2, 3))
    assert (mirrored | same).all()
    assert mirrored[may_flip].any()
    assert same[~may_flip].all()


def test_a_crop_keeps_most_of_the_image_and_its_colours() -> None:
    images = photos()
    cropped = augment_images(images, np.random.default_rng(5), ("crop",))
    ramp = np.zeros((20, SIDE, SIDE, 3), np.uint8)
    ramp[:] = (np.arange(SIDE) * 8).astype(np.uint8)[None, None, :, None]
    columns = augment_images(ramp, np.random.default_rng(6), ("crop",))[:, 10, :, 0].astype(int)
    assert (np.diff(columns, axis=1) >= 0).all()
    widths = (columns[:, -1] - columns[:, 0]) / 248
    assert (widths > 0.6).all()
    assert (widths <= 1).all()
    assert np.abs(cropped.mean(axis=(1, 2)) - images.mean(axis=(1, 2))).mean() < 15


def test_colour_keeps_the_hue() -> None:
    red = np.zeros((60, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 180
    red[:, : SIDE // 2] = (90, 60, 60)
    changed = augment_images(red, np.random.default_rng(5), ("colour",)).astype(int)
    assert (changed[..., 0] >= changed[..., 1]).all()
    np.testing.assert_allclose(changed[..., 1], changed[..., 2], atol=1)
    assert np.unique(changed[:, -1, 0, 0]).size > 30


def test_a_cut_out_covers_a_part_of_half_of_the_images() -> None:
    images = photos(200)
    cut = augment_images(images, np.random.default_rng(5), ("cut-out",))
    share = (cut != images).any(axis=3).mean(axis=(1, 2))
    assert 0.35 < (share > 0).mean() < 0.65
    assert share.max() <= 0.35**2 + 0.01


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("左侧口袋衬衫", True),
        ("拉链在右边的包", True),
        ("右手手套", True),
        ("靠左的logo", True),
        ("Left-handed scissors", True),
        ("right hand glove", True),
        ("左", True),
        ("50元左右的裙子", False),
        ("左右对称的花纹", False),
        ("左旋肉碱", False),
        ("brightly coloured", False),
        ("左右两侧有口袋，右袖有标", True),
        ("红色连衣裙", False),
    ],
)
def test_texts_that_say_left_or_right(text: str, expected: bool) -> None:
    assert names_side(text) is expected
