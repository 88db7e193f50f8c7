"""Draws product images: background, shadow, parts and light."""

from collections.abc import Sequence
from io import BytesIO
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tusou_lab.toy.catalogue import COLOURS, FINISHES, Rgb, ToyProduct
from tusou_lab.toy.difficulty import EASY, Difficulty
from tusou_lab.toy.disturbances import degrade, draw_clutter
from tusou_lab.toy.geometry import Paint, Points, Shape
from tusou_lab.toy.patterns import Rng, luminance, mix, texture
from tusou_lab.toy.shapes import SHAPES

SIZE = 224
_FINE = 2 * SIZE  # drawn at twice the size and averaged, for smooth edges
_FIXED: dict[Paint, tuple[int, ...]] = {
    Paint.WHITE: (246, 246, 244),
    Paint.BLACK: (36, 35, 38),
    Paint.STEEL: (184, 188, 194),
    Paint.GOLD: (214, 170, 66),
    Paint.GLASS: (58, 70, 92),
    Paint.GLOW: (255, 240, 190),
    Paint.SHADE: (0, 0, 0, 60),
    Paint.GLOSS: (255, 255, 255, 120),
}

Place: TypeAlias = tuple[float, float, float]  # centre and side, as shares of the image's side
_WHOLE: Place = (0.5, 0.5, 1.0)
_EDGED = (Paint.BODY, Paint.PLAIN, Paint.DEEP, Paint.WHITE)
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


def draw_image(scene: Sequence[ToyProduct], rng: Rng, difficulty: Difficulty = EASY) -> bytes:
    """Return a 224 x 224 image as the bytes of a JPEG or, one in five, a PNG."""
    posed = [
        _pose(SHAPES[product.category.shape](dict(product.facts)), rng, difficulty, place)
        for product, place in zip(scene, _places(len(scene), rng), strict=True)
    ]
    image = _draw_background(SIZE, rng)
    for parts in posed:
        _cast_shadow(image, parts, rng)
    image = image.resize((_FINE, _FINE), Image.Resampling.NEAREST)
    if difficulty.clutter:
        draw_clutter(image, int(rng.integers(difficulty.clutter + 1)), rng)
    for product, parts in zip(scene, posed, strict=True):
        _paint(image, parts, product, rng)
    image = _light(image.reduce(2), rng)
    if difficulty.blur or difficulty.noise:
        image = degrade(image, difficulty, rng)
    return _encode(image, rng, difficulty.quality)


def draw_on_white(product: ToyProduct, rng: Rng) -> bytes:
    """Return a 224 x 224 image of a product on plain white, without shadow or light."""
    parts = _pose(SHAPES[product.category.shape](dict(product.facts)), rng, EASY, _WHOLE)
    image = Image.new("RGB", (_FINE, _FINE), (255, 255, 255))
    _paint(image, parts, product, rng)
    return _encode(image.reduce(2), rng, EASY.quality)


def _places(count: int, rng: Rng) -> list[Place]:
    """Return a place for each of up to three products: the first has the largest."""
    if count == 1:
        return [_WHOLE]
    left = rng.random() < 0.5  # the first product is at the left
    main, rest = (
        ((0.32, 0.5, 0.62), (0.82, 0.5, 0.42)) if left else ((0.68, 0.5, 0.62), (0.18, 0.5, 0.42))
    )
    x, _, size = rest
    further = [(x, 0.5, size)] if count == 2 else [(x, 0.27, size), (x, 0.75, size)]
    return [main, *further]


def _pose(parts: list[Shape], rng: Rng, difficulty: Difficulty, place: Place) -> list[Shape]:
    """Return the parts rotated, stretched, scaled, placed and perhaps mirrored on the canvas."""
    x, y, share = place
    angle = np.radians(rng.normal(0, difficulty.turn))
    scale = rng.uniform(*difficulty.scale) * _FINE * share
    stretch = rng.uniform(0.92, 1.08)
    side = rng.choice((-1.0, 1.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([side * scale * stretch, scale / stretch])
    slack = 0.5 * _FINE * share - scale * 1.08
    centre = np.array([x, y]) * _FINE + rng.uniform(-1, 1, 2) * max(slack, 0.0)
    return [Shape(part.outline @ matrix.T + centre, part.paint) for part in parts]


def _draw_background(size: int, rng: Rng) -> Image.Image:
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


def _flat(outline: Points) -> list[float]:
    flat: list[float] = outline.ravel().tolist()
    return flat


def _cast_shadow(image: Image.Image, parts: list[Shape], rng: Rng) -> None:
    """Draw a soft shadow beside the product, at an eighth of the resolution."""
    small = Image.new("L", (_FINE // 8, _FINE // 8))
    draw = ImageDraw.Draw(small)
    offset = np.array([rng.uniform(-4, 4), rng.uniform(0.5, 4)])
    for part in parts:
        if part.paint not in (Paint.SHADE, Paint.GLOSS):
            draw.polygon(_flat(part.outline / 8 + offset), fill=int(110 * rng.uniform(0.5, 1)))
    soft = small.filter(ImageFilter.GaussianBlur(rng.uniform(1.0, 3.0)))
    mask = soft.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    image.paste((40, 38, 42), (0, 0), mask)


def _paint(image: Image.Image, parts: list[Shape], product: ToyProduct, rng: Rng) -> None:
    tones = COLOURS[product.facts["colour"]].tones
    ground = tones[int(rng.integers(len(tones)))]
    fills = _fills(ground, product.facts.get("finish", "iron"))
    edge = (*mix(ground, (60, 60, 64), 0.45), 150) if luminance(ground) > 60 else (90, 90, 94, 150)
    pattern = product.facts["pattern"]
    cloth = None if pattern == "plain" else texture(pattern, ground, _FINE, rng)
    draw = ImageDraw.Draw(image, "RGBA")
    for part in parts:
        outline = _flat(part.outline)
        if part.paint is Paint.BODY and cloth is not None:
            _fill_with_cloth(image, cloth, part.outline)
        else:
            draw.polygon(outline, fill=fills[part.paint])
        if part.paint in _EDGED:
            draw.line([*outline, *outline[:2]], fill=edge, width=3)


def _fills(ground: Rgb, finish: str) -> dict[Paint, tuple[int, ...]]:
    dark = luminance(ground) <= 50
    deep = mix(ground, (255, 255, 255), 0.14) if dark else mix(ground, (0, 0, 0), 0.2)
    return _FIXED | {
        Paint.BODY: ground,
        Paint.PLAIN: ground,
        Paint.DEEP: deep,
        Paint.FINISH: FINISHES[finish],
    }


def _fill_with_cloth(image: Image.Image, cloth: Image.Image, outline: Points) -> None:
    """Fill an outline with cloth, inside its bounding box only."""
    left, top = np.maximum(np.floor(outline.min(axis=0)), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)) + 1, _FINE).astype(int).tolist()
    if right <= left or bottom <= top:
        return
    mask = Image.new("1", (right - left, bottom - top))
    ImageDraw.Draw(mask).polygon(_flat(outline - (left, top)), fill=1)
    image.paste(cloth.crop((left, top, right, bottom)), (left, top), mask)


def _light(image: Image.Image, rng: Rng) -> Image.Image:
    """Multiply with a gradient of slightly warm or cool light."""
    warmth = np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.012, 3)
    corners = rng.uniform(0.88, 1.0, (2, 2, 1)) * rng.uniform(0.92, 1.0) * warmth
    light = Image.fromarray((corners.clip(0, 1) * 255).astype(np.uint8), "RGB")
    return ImageChops.multiply(image, light.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _encode(image: Image.Image, rng: Rng, quality: tuple[int, int]) -> bytes:
    data = BytesIO()
    if rng.random() < 0.2:
        image.save(data, "PNG", compress_level=1)
    else:
        image.save(data, "JPEG", quality=int(rng.integers(*quality)))
    return data.getvalue()
