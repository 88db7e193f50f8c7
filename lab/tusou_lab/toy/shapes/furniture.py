"""Furniture; the stance and the finish of the legs show its style."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, pair, polygon, smooth, stroke


def _legs(stance: str, reach: float, top: float, bottom: float) -> list[Shape]:
    """Draw four legs: splayed and tapered (Nordic), straight, or bowed (antique)."""
    if stance == "splayed":
        outer = bar((reach * 0.62, top), (reach * 1.12, bottom), 0.13, 0.07)
    elif stance == "straight":
        outer = bar((reach * 0.94, top), (reach * 0.94, bottom), 0.09)
    else:
        outer = stroke(
            polygon(
                (reach * 0.8, top),
                (reach * 1.1, top + (bottom - top) * 0.3),
                (reach * 0.8, top + (bottom - top) * 0.75),
                (reach * 1.1, bottom),
            ),
            0.17,
            0.08,
        )
    inner = outer * (0.36, 0.92) + (0.0, top * 0.08)
    return pair(inner, Paint.FINISH) + pair(outer, Paint.FINISH)


def side_table(traits: dict[str, str]) -> list[Shape]:
    """Draw a side table with a round or a square top."""
    if traits["top"] == "round":
        top = [
            Shape(ellipse(0, -0.3, 0.8, 0.24), Paint.DEEP),
            Shape(ellipse(0, -0.38, 0.8, 0.24), Paint.BODY),
        ]
    else:
        top = [
            Shape(box(-0.8, -0.28, 0.8, -0.1), Paint.DEEP),
            Shape(polygon((-0.58, -0.62), (0.58, -0.62), (0.8, -0.26), (-0.8, -0.26)), Paint.BODY),
        ]
    gloss = Shape(smooth((-0.4, -0.46), (0.1, -0.5), (-0.1, -0.38)), Paint.GLOSS)
    return [*_legs(traits["stance"], 0.6, -0.2, 0.9), *top, gloss]


def chair(traits: dict[str, str]) -> list[Shape]:
    """Draw a chair with an upholstered back and seat."""
    return [
        *_legs(traits["stance"], 0.52, 0.2, 0.96),
        *(Shape(bar((x, -0.3), (x, 0.2), 0.07), Paint.FINISH) for x in (-0.36, 0.36)),
        Shape(box(-0.5, -0.96, 0.5, -0.2, 0.16), Paint.BODY),
        Shape(
            smooth((-0.5, 0.0), (0.5, 0.0), (0.66, 0.2), (0.5, 0.32), (-0.5, 0.32), (-0.66, 0.2)),
            Paint.BODY,
        ),
        Shape(bar((-0.52, 0.27), (0.52, 0.27), 0.07), Paint.SHADE),
        Shape(stroke(ellipse(0, -0.58, 0.36, 0.26, 200, 340), 0.04), Paint.GLOSS),
    ]


def sofa(traits: dict[str, str]) -> list[Shape]:
    """Draw a sofa for one or for two, on short legs."""
    half = 0.62 if traits["seats"] == "one" else 0.98
    seams = (
        [] if traits["seats"] == "one" else [Shape(bar((0, -0.44), (0, 0.36), 0.04), Paint.SHADE)]
    )
    arm = box(half - 0.22, -0.18, half, 0.5, 0.1)
    return [
        *(
            Shape(bar((x, 0.4), (x * 1.06, 0.74), 0.12, 0.07), Paint.FINISH)
            for x in (0.14 - half, half - 0.14)
        ),
        Shape(box(-half + 0.1, -0.52, half - 0.1, 0.3, 0.16), Paint.BODY),
        Shape(bar((-half + 0.2, 0.06), (half - 0.2, 0.06), 0.07), Paint.SHADE),
        Shape(box(-half + 0.12, 0.08, half - 0.12, 0.5, 0.06), Paint.BODY),
        Shape(bar((-half + 0.2, 0.36), (half - 0.2, 0.36), 0.04), Paint.SHADE),
        *seams,
        *pair(arm, Paint.DEEP),
    ]


def nightstand(traits: dict[str, str]) -> list[Shape]:
    """Draw a bedside chest with two drawers, or with one over an open shelf."""
    upper = [
        Shape(box(-0.62, -0.5, 0.62, -0.08, 0.03), Paint.DEEP),
        Shape(ellipse(0, -0.29, 0.07, 0.07), Paint.FINISH),
    ]
    if traits["drawers"] == "two":
        lower = [
            Shape(box(-0.62, 0.0, 0.62, 0.42, 0.03), Paint.DEEP),
            Shape(ellipse(0, 0.21, 0.07, 0.07), Paint.FINISH),
        ]
    else:
        lower = [
            Shape(box(-0.62, 0.0, 0.62, 0.42, 0.03), Paint.BLACK),
            *(Shape(box(x, 0.1, x + 0.1, 0.42), Paint.WHITE) for x in (-0.5, -0.36)),
        ]
    return [
        *_legs(traits["stance"], 0.58, 0.46, 0.94),
        Shape(box(-0.74, -0.62, 0.74, 0.52, 0.06), Paint.BODY),
        *upper,
        *lower,
    ]


def cushion(traits: dict[str, str]) -> list[Shape]:
    """Draw a plump cushion, square or round."""
    if traits["outline"] == "round":
        face = ellipse(0, 0, 0.84, 0.84)
        seam = stroke(ellipse(0, 0, 0.74, 0.74), 0.03)
        return [
            Shape(face, Paint.BODY),
            Shape(seam, Paint.SHADE),
            Shape(ellipse(0, 0, 0.08, 0.08), Paint.DEEP),
        ]
    face = smooth(
        (-0.86, -0.86),
        (0.0, -0.74),
        (0.86, -0.86),
        (0.76, 0.0),
        (0.86, 0.86),
        (0.0, 0.76),
        (-0.86, 0.86),
        (-0.76, 0.0),
    )
    return [
        Shape(face, Paint.BODY),
        Shape(stroke(polygon((-0.7, 0.7), (-0.5, 0.5)), 0.05, 0.01), Paint.SHADE),
        Shape(stroke(polygon((0.7, 0.7), (0.5, 0.5)), 0.05, 0.01), Paint.SHADE),
        Shape(stroke(polygon((-0.7, 0.72), (0.0, 0.68), (0.7, 0.72)), 0.04), Paint.SHADE),
    ]
