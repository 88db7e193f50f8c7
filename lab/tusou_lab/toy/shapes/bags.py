"""Bags and luggage."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, pair, polygon, smooth, stroke


def handbag(traits: dict[str, str]) -> list[Shape]:
    """Draw a bag carried by hand: an open tote, or a framed box with a flap."""
    handle = Shape(stroke(ellipse(0, -0.28, 0.36, 0.62, 180, 360), 0.08), Paint.DEEP)
    if traits["bag"] == "tote":
        body = polygon((-0.84, -0.3), (0.84, -0.3), (0.7, 0.8), (-0.7, 0.8))
        stitches = [Shape(bar((x, -0.3), (x, 0.02), 0.07), Paint.DEEP) for x in (-0.36, 0.36)]
        return [
            handle,
            Shape(body, Paint.BODY),
            Shape(bar((-0.83, -0.27), (0.83, -0.27), 0.07), Paint.DEEP),
            *stitches,
        ]
    return [
        handle,
        Shape(box(-0.74, -0.32, 0.74, 0.76, 0.14), Paint.BODY),
        Shape(polygon((-0.74, -0.3), (0.74, -0.3), (0.6, 0.14), (-0.6, 0.14)), Paint.DEEP),
        Shape(box(-0.12, 0.04, 0.12, 0.26, 0.04), Paint.GOLD),
    ]


def backpack(_: dict[str, str]) -> list[Shape]:
    """Draw a rucksack with a front pocket, shoulder straps at its sides."""
    strap = smooth((0.5, -0.5), (0.84, -0.1), (0.8, 0.5), (0.56, 0.7), (0.66, 0.4), (0.66, -0.04))
    return [
        *pair(strap, Paint.DEEP),
        Shape(stroke(ellipse(0, -0.8, 0.16, 0.16, 180, 360), 0.07), Paint.DEEP),
        Shape(box(-0.6, -0.8, 0.6, 0.86, 0.34), Paint.BODY),
        Shape(stroke(ellipse(0, -0.1, 0.5, 0.5, 195, 345), 0.05), Paint.SHADE),
        Shape(box(-0.44, 0.14, 0.44, 0.72, 0.1), Paint.DEEP),
        Shape(bar((-0.38, 0.28), (0.38, 0.28), 0.05), Paint.GOLD),
    ]


def crossbody(traits: dict[str, str]) -> list[Shape]:
    """Draw a small flap bag on a long strap of leather or of golden chain."""
    arc = ellipse(0, 0.1, 0.66, 1.08, 190, 350)
    if traits["strap"] == "chain":
        strap = [Shape(ellipse(x, y, 0.065, 0.065), Paint.GOLD) for x, y in arc]
    else:
        strap = [Shape(stroke(arc, 0.07), Paint.DEEP)]
    return [
        *strap,
        Shape(box(-0.8, -0.12, 0.8, 0.82, 0.16), Paint.BODY),
        Shape(
            smooth(
                (-0.82, -0.14), (0.0, -0.16), (0.82, -0.14), (0.66, 0.3), (0, 0.48), (-0.66, 0.3)
            ),
            Paint.PLAIN,
        ),
        Shape(
            stroke(
                smooth((-0.8, 0.02), (-0.6, 0.32), (0, 0.48), (0.6, 0.32), (0.8, 0.02))[:24], 0.04
            ),
            Paint.SHADE,
        ),
        Shape(ellipse(0, 0.4, 0.11, 0.11), Paint.GOLD),
    ]


def suitcase(_: dict[str, str]) -> list[Shape]:
    """Draw a ribbed trolley case on wheels, its handle drawn out."""
    return [
        *(Shape(bar((x, -0.5), (x, -0.96), 0.05), Paint.STEEL) for x in (-0.2, 0.2)),
        Shape(box(-0.28, -1.0, 0.28, -0.9, 0.04), Paint.BLACK),
        *(Shape(ellipse(x, 0.9, 0.09, 0.09), Paint.BLACK) for x in (-0.42, 0.42)),
        Shape(box(-0.6, -0.56, 0.6, 0.84, 0.12), Paint.BODY),
        *(Shape(bar((x, -0.48), (x, 0.76), 0.04), Paint.SHADE) for x in (-0.38, -0.13, 0.13, 0.38)),
        Shape(box(-0.14, -0.52, 0.14, -0.44, 0.02), Paint.STEEL),
        Shape(bar((-0.5, -0.45), (-0.5, 0.6), 0.05), Paint.GLOSS),
    ]
