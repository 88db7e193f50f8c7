"""Disturbances of hard images: clutter, little light, blur and noise."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tusou_lab.toy.difficulty import Difficulty
from tusou_lab.toy.patterns import Rng


def draw_clutter(image: Image.Image, count: int, rng: Rng) -> None:
    """Draw plain objects of random colours on an image, most of them near its border."""
    draw = ImageDraw.Draw(image)
    side = image.width
    for _ in range(count):
        width, height = rng.uniform(0.06, 0.24, 2) * side
        x, y = rng.beta(0.5, 0.5, 2) * side
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        colour = tuple(rng.integers(30, 250, 3).tolist())
        kind = int(rng.integers(3))
        if kind == 0:
            draw.ellipse(box, fill=colour)
        elif kind == 1:
            draw.rectangle(box, fill=colour)
        else:
            corners = rng.uniform(-1, 1, (3, 2)) * (width, height) + (x, y)
            draw.polygon(corners.ravel().tolist(), fill=colour)


def degrade(image: Image.Image, difficulty: Difficulty, rng: Rng) -> Image.Image:
    """Return the image as a poor camera takes it: dimmer, blurred and noisy."""
    blurred = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, difficulty.blur)))
    pixels = np.asarray(blurred, np.float32) * rng.uniform(difficulty.dimmest, 1)
    pixels += rng.normal(0, rng.uniform(0, difficulty.noise), pixels.shape)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
