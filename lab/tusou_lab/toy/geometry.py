"""Outlines as point arrays in a box from -1 to 1, with x to the right and y down."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2)
XY = tuple[float, float]


class Paint(Enum):
    """The material of a part; the scene maps it to colours."""

    BODY = "the product's colour and pattern"
    PLAIN = "the product's colour without the pattern"
    DEEP = "a darker tone of the product's colour"
    FINISH = "the legs and stands: gold, wood or black iron"
    WHITE = "white rubber, paper, enamel"
    BLACK = "black plastic, leather soles"
    STEEL = "bright metal"
    GOLD = "buckles and chains"
    GLASS = "screens and lenses"
    GLOW = "a lit bulb"
    SHADE = "a shadow over the parts below"
    GLOSS = "a highlight over the parts below"


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled outline; a product is a list of shapes, later ones over earlier ones."""

    outline: Points
    paint: Paint


def polygon(*corners: XY) -> Points:
    """Return the outline with these corners."""
    return np.array(corners, dtype=np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Points:
    """Return an ellipse, or its arc between two angles in degrees."""
    angle = np.radians(np.linspace(start, end, 28))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """Return a rectangle, with rounded corners if `radius` is set."""
    if not radius:
        return polygon((left, top), (right, top), (right, bottom), (left, bottom))
    centres = ((right, bottom, 0), (left, bottom, 90), (left, top, 180), (right, top, 270))
    corners = []
    for x, y, start in centres:
        angle = np.radians(np.linspace(start, start + 90, 6))
        inward = np.array([-radius if x == right else radius, -radius if y == bottom else radius])
        rim = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        corners.append(np.array([x, y]) + inward + rim)
    return np.concatenate(corners)


def smooth(*knots: XY) -> Points:
    """Return a closed Catmull-Rom curve through the knots."""
    p1 = np.array(knots, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0, 1, 7)[:-1, None, None]
    curve = p1 + 0.5 * t * (
        (p2 - p0) + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * p1 - p0 - 3 * p2 + p3))
    )
    return np.swapaxes(curve, 0, 1).reshape(-1, 2)


def symmetric(*right_half: XY) -> Points:
    """Return an outline from its right half, given from top to bottom."""
    half = np.array(right_half, dtype=np.float64)
    return np.concatenate([half, flipped(half)[::-1]])


def flipped(outline: Points) -> Points:
    """Return the outline mirrored left to right."""
    return outline * (-1.0, 1.0)


def pair(outline: Points, paint: Paint) -> list[Shape]:
    """Return a shape and its mirror image."""
    return [Shape(outline, paint), Shape(flipped(outline), paint)]


def stroke(path: Points, width: float, end_width: float | None = None) -> Points:
    """Return a band along an open path, tapering from `width` to `end_width`."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    last = width if end_width is None else end_width
    half = np.linspace(width, last, len(path))[:, None] / 2
    return np.concatenate([path + across * half, (path - across * half)[::-1]])


def bar(start: XY, end: XY, width: float, end_width: float | None = None) -> Points:
    """Return a straight band, tapering from `width` to `end_width`."""
    return stroke(polygon(start, end), width, end_width)
