"""Lamps that are switched on."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, polygon, stroke


def _shade(kind: str, x: float, y: float, size: float) -> list[Shape]:
    """Draw a conical cloth shade or a globe around (x, y), with its lower rim near y + size / 2."""
    if kind == "globe":
        return [
            Shape(ellipse(x, y, size * 0.62, size * 0.62), Paint.BODY),
            Shape(ellipse(x - size * 0.2, y - size * 0.24, size * 0.18, size * 0.14), Paint.GLOSS),
        ]
    half = size / 2
    cone = polygon(
        (x - half * 0.7, y - half),
        (x + half * 0.7, y - half),
        (x + half * 1.5, y + half),
        (x - half * 1.5, y + half),
    )
    return [
        Shape(ellipse(x, y + half, half * 1.4, half * 0.34), Paint.GLOW),
        Shape(cone, Paint.BODY),
    ]


def table_lamp(traits: dict[str, str]) -> list[Shape]:
    """Draw a table lamp: a shade on a short stem and a round foot."""
    return [
        Shape(ellipse(0, 0.84, 0.44, 0.12), Paint.FINISH),
        Shape(bar((0, 0.0), (0, 0.82), 0.12), Paint.FINISH),
        Shape(ellipse(0, 0.46, 0.2, 0.2), Paint.FINISH),
        *_shade(traits["shade"], 0, -0.38, 0.94),
    ]


def floor_lamp(traits: dict[str, str]) -> list[Shape]:
    """Draw a tall floor lamp on a long thin stem, its shade small."""
    return [
        Shape(ellipse(0, 0.94, 0.34, 0.08), Paint.FINISH),
        Shape(bar((0, -0.5), (0, 0.94), 0.065), Paint.FINISH),
        *_shade(traits["shade"], 0, -0.68, 0.54),
    ]


def ceiling_lamp(traits: dict[str, str]) -> list[Shape]:
    """Draw a lamp hanging from the ceiling by a cord."""
    return [
        Shape(box(-0.22, -1.0, 0.22, -0.9, 0.04), Paint.FINISH),
        Shape(bar((0, -0.95), (0, 0.0), 0.045), Paint.FINISH),
        *_shade(traits["shade"], 0, 0.32, 0.94),
        Shape(stroke(ellipse(0, 0.0, 0.16, 0.16, 180, 360), 0.08), Paint.FINISH),
    ]
