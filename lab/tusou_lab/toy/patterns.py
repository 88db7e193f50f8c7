"""Textures of cloth, and colour arithmetic."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from tusou_lab.toy.catalogue import Rgb

Rng = np.random.Generator
_PETALS = ((250, 248, 240), (255, 214, 224), (255, 236, 160))
_FLOWERS_ON_LIGHT = ((222, 70, 104), (92, 120, 214), (226, 140, 50))


def mix(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """Return a colour with `share` (0 to 1) of another mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def luminance(colour: Rgb) -> float:
    """Return the perceived brightness, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _contrast(ground: Rgb) -> Rgb:
    """Return a motif colour, such that white on grey differs from grey on white."""
    if luminance(ground) > 235:
        return (178, 150, 112)
    return (252, 250, 244) if luminance(ground) < 203 else (120, 124, 134)


def _stripes(draw: ImageDraw.ImageDraw, size: int, ground: Rgb, rng: Rng) -> None:
    period = size * rng.uniform(0.1, 0.14)
    lean = size * rng.uniform(-0.12, 0.12)
    ink = _contrast(ground)
    for step in range(-3, int(size / period) + 4):
        x = step * period
        draw.line((x, 0, x + lean, size), fill=ink, width=round(period * 0.42))


def _check(draw: ImageDraw.ImageDraw, size: int, ground: Rgb, rng: Rng) -> None:
    period = size * rng.uniform(0.13, 0.18)
    ink = (*_contrast(ground), 120)
    for step in range(int(size / period) + 2):
        at, width = step * period, round(period * 0.46)
        draw.line((at, 0, at, size), fill=ink, width=width)
        draw.line((0, at, size, at), fill=ink, width=width)


def _dots(draw: ImageDraw.ImageDraw, size: int, ground: Rgb, rng: Rng) -> None:
    period = size * rng.uniform(0.12, 0.16)
    radius = period * rng.uniform(0.25, 0.3)
    ink = _contrast(ground)
    for row in range(int(size / period) + 2):
        for column in range(int(size / period) + 2):
            x, y = (column + 0.5 * (row % 2)) * period, row * period * 0.92
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _floral(draw: ImageDraw.ImageDraw, size: int, ground: Rgb, rng: Rng) -> None:
    light = luminance(ground) >= 150
    petals = _FLOWERS_ON_LIGHT if light else _PETALS
    leaf = (46, 120, 60) if light else (150, 204, 120)
    cell = size * rng.uniform(0.16, 0.2)
    for row in range(int(size / cell) + 1):
        for column in range(int(size / cell) + 1):
            x, y = (np.array([column, row]) + rng.uniform(0.25, 0.75, 2)) * cell
            turn, petal = rng.uniform(0, 6.3), cell * 0.17
            ink = petals[int(rng.integers(len(petals)))]
            draw.ellipse((x + petal, y + petal * 0.6, x + petal * 3.2, y + petal * 1.6), fill=leaf)
            for k in range(5):
                px = x + np.cos(turn + k * 1.2566) * petal * 1.15
                py = y + np.sin(turn + k * 1.2566) * petal * 1.15
                draw.ellipse((px - petal, py - petal, px + petal, py + petal), fill=ink)
            core = petal * 0.7
            draw.ellipse((x - core, y - core, x + core, y + core), fill=(240, 190, 50))


def _camouflage(draw: ImageDraw.ImageDraw, size: int, ground: Rgb, rng: Rng) -> None:
    light = luminance(ground)
    dark = mix(ground, (16, 18, 14), 0.3 if light > 235 else 0.62 if light > 60 else 0.2)
    pale = mix(ground, (255, 255, 255), 0.3)
    for count, ink in ((26, pale), (26, dark)):
        for x, y in rng.uniform(0, size, (count, 2)):
            angle = np.linspace(0, 6.2832, 9)[:-1]
            reach = size * rng.uniform(0.03, 0.1, 8)
            blob = np.stack([x + reach * 1.4 * np.cos(angle), y + reach * np.sin(angle)], axis=1)
            draw.polygon(blob.ravel().tolist(), fill=ink)


_MOTIFS: dict[str, Callable[[ImageDraw.ImageDraw, int, Rgb, Rng], None]] = {
    "stripes": _stripes,
    "check": _check,
    "dots": _dots,
    "floral": _floral,
    "camouflage": _camouflage,
}


def texture(pattern: str, ground: Rgb, size: int, rng: Rng) -> Image.Image:
    """Return a square of cloth with a pattern, which is not plain, over a ground colour."""
    cloth = Image.new("RGB", (size, size), ground)
    _MOTIFS[pattern](ImageDraw.Draw(cloth, "RGBA"), size, ground, rng)
    return cloth
