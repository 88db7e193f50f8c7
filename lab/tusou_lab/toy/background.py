"""Backgrounds of product images."""

from PIL import Image, ImageDraw

from tusou_lab.toy.catalogue import Rgb
from tusou_lab.toy.patterns import Rng, mix

_WALLS: tuple[Rgb, ...] = (
    (236, 228, 216),
    (222, 230, 236),
    (232, 222, 226),
    (224, 232, 220),
    (214, 210, 204),
)
_VIVID: tuple[Rgb, ...] = (
    (250, 220, 222),
    (206, 228, 246),
    (252, 238, 190),
    (208, 236, 212),
    (226, 214, 240),
    (196, 176, 156),
    (120, 132, 150),
)


def draw_background(size: int, rng: Rng) -> Image.Image:
    """Return a random square background: white, a grey or coloured gradient, or a room."""
    kind = rng.choice(4, p=(0.3, 0.25, 0.2, 0.25))
    if kind == 0:
        return Image.new("RGB", (size, size), (255, 255, 255))
    if kind == 1:
        grey = int(rng.integers(196, 240))
        return _gradient(size, (grey, grey, grey + 4), (min(grey + 34, 255),) * 3)
    if kind == 2:
        card = _VIVID[int(rng.integers(len(_VIVID)))]
        return _gradient(size, mix(card, (255, 255, 255), rng.uniform(0, 0.4)), card)
    return _room(size, rng)


def _room(size: int, rng: Rng) -> Image.Image:
    wall = _WALLS[int(rng.integers(len(_WALLS)))]
    room = _gradient(size, mix(wall, (255, 255, 255), 0.3), wall)
    draw = ImageDraw.Draw(room)
    horizon = int(size * rng.uniform(0.62, 0.8))
    floor = mix((196, 164, 128), (150, 118, 90), rng.uniform(0, 1))
    draw.rectangle((0, horizon, size, size), fill=floor)
    draw.rectangle((0, horizon - 4, size, horizon), fill=mix(wall, (255, 255, 255), 0.7))
    for y in range(horizon + 14, size, 18):
        draw.line((0, y, size, y), fill=mix(floor, (90, 66, 46), 0.25))
    if rng.random() < 0.6:
        x, y = int(rng.uniform(4, size - 70)), int(rng.uniform(6, 30))
        draw.rectangle((x, y, x + 58, y + 72), fill=mix(wall, (120, 110, 100), 0.35))
        view = _VIVID[int(rng.integers(len(_VIVID)))]
        draw.rectangle((x + 4, y + 4, x + 54, y + 68), fill=mix(view, (255, 255, 255), 0.5))
    return room


def _gradient(size: int, top: Rgb, bottom: Rgb) -> Image.Image:
    column = Image.new("RGB", (1, 2))
    column.putdata([top, bottom])
    return column.resize((size, size), Image.Resampling.BILINEAR)
