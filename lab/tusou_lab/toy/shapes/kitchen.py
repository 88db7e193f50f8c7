"""Kitchenware and tableware."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, polygon, smooth, stroke


def mug(traits: dict[str, str]) -> list[Shape]:
    """Draw a mug with a handle, open or under a lid."""
    if traits["lid"] == "lid":
        rim = [
            Shape(smooth((-0.64, -0.56), (0.0, -0.84), (0.64, -0.56), (0, -0.46)), Paint.DEEP),
            Shape(ellipse(0, -0.8, 0.12, 0.1), Paint.GOLD),
        ]
    else:
        rim = [
            Shape(ellipse(0, -0.56, 0.6, 0.14), Paint.WHITE),
            Shape(ellipse(0, -0.54, 0.52, 0.1), Paint.SHADE),
        ]
    return [
        Shape(stroke(ellipse(0.56, 0.08, 0.34, 0.38, -100, 100), 0.13), Paint.DEEP),
        Shape(
            smooth(
                (-0.6, -0.56),
                (0.0, -0.5),
                (0.6, -0.56),
                (0.58, 0.5),
                (0.4, 0.78),
                (0, 0.82),
                (-0.4, 0.78),
                (-0.58, 0.5),
            ),
            Paint.BODY,
        ),
        *rim,
        Shape(bar((-0.46, -0.3), (-0.44, 0.5), 0.07), Paint.GLOSS),
    ]


def kettle(traits: dict[str, str]) -> list[Shape]:
    """Draw a kettle with a spout; its handle arches over it or stands behind."""
    if traits["handle"] == "arch":
        handle = Shape(stroke(ellipse(0, -0.3, 0.5, 0.62, 180, 360), 0.09), Paint.BLACK)
    else:
        handle = Shape(stroke(ellipse(-0.5, 0.1, 0.44, 0.48, 90, 270), 0.12), Paint.BLACK)
    return [
        handle,
        Shape(polygon((0.36, 0.3), (0.98, -0.4), (0.8, -0.44), (0.3, -0.08)), Paint.DEEP),
        Shape(
            smooth(
                (0.0, -0.42),
                (0.44, -0.28),
                (0.66, 0.3),
                (0.6, 0.74),
                (0, 0.8),
                (-0.6, 0.74),
                (-0.66, 0.3),
                (-0.44, -0.28),
            ),
            Paint.BODY,
        ),
        Shape(ellipse(0, -0.36, 0.36, 0.1), Paint.STEEL),
        Shape(ellipse(0, -0.48, 0.09, 0.08), Paint.BLACK),
        Shape(stroke(ellipse(-0.1, 0.3, 0.4, 0.44, 170, 240), 0.07), Paint.GLOSS),
    ]


def pot(traits: dict[str, str]) -> list[Shape]:
    """Draw a lidded pot with two ears, or a saucepan with one long handle."""
    if traits["grips"] == "ears":
        grips = [
            Shape(stroke(ellipse(x, 0.02, 0.22, 0.14), 0.08), Paint.BLACK) for x in (-0.72, 0.72)
        ]
        shift = 0.0
    else:
        grips = [Shape(bar((0.1, 0.02), (1.0, -0.22), 0.13, 0.1), Paint.BLACK)]
        shift = -0.26
    left, right = shift - 0.68, shift + 0.68
    return [
        *grips,
        Shape(box(left, -0.2, right, 0.6, 0.16), Paint.BODY),
        Shape(
            smooth((left - 0.02, -0.18), (shift, -0.52), (right + 0.02, -0.18), (shift, -0.12)),
            Paint.DEEP,
        ),
        Shape(bar((left, -0.18), (right, -0.18), 0.06), Paint.STEEL),
        Shape(ellipse(shift, -0.5, 0.1, 0.09), Paint.BLACK),
        Shape(bar((left + 0.14, 0.0), (left + 0.14, 0.4), 0.06), Paint.GLOSS),
    ]


def bowl(_: dict[str, str]) -> list[Shape]:
    """Draw a footed bowl, seen slightly from above."""
    return [
        Shape(polygon((-0.3, 0.5), (0.3, 0.5), (0.36, 0.66), (-0.36, 0.66)), Paint.DEEP),
        Shape(
            smooth(
                (-0.88, -0.24),
                (0, -0.1),
                (0.88, -0.24),
                (0.74, 0.2),
                (0.36, 0.54),
                (0, 0.58),
                (-0.36, 0.54),
                (-0.74, 0.2),
            ),
            Paint.BODY,
        ),
        Shape(ellipse(0, -0.24, 0.88, 0.24), Paint.WHITE),
        Shape(ellipse(0, -0.21, 0.78, 0.18), Paint.SHADE),
    ]


def plate(traits: dict[str, str]) -> list[Shape]:
    """Draw a plate from above, round or square, with a rim."""
    if traits["outline"] == "round":
        return [
            Shape(ellipse(0, 0, 0.92, 0.92), Paint.BODY),
            Shape(stroke(ellipse(0, 0, 0.9, 0.9), 0.05), Paint.GOLD),
            Shape(stroke(ellipse(0, 0, 0.6, 0.6), 0.035), Paint.SHADE),
        ]
    return [
        Shape(box(-0.84, -0.84, 0.84, 0.84, 0.18), Paint.BODY),
        Shape(stroke(box(-0.83, -0.83, 0.83, 0.83, 0.18), 0.05), Paint.GOLD),
        Shape(stroke(box(-0.56, -0.56, 0.56, 0.56, 0.12), 0.035), Paint.SHADE),
    ]
