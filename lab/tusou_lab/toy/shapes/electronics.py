"""Electronics."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, pair, polygon, smooth, stroke


def phone_case(_: dict[str, str]) -> list[Shape]:
    """Draw the back of a phone in its case, with the cameras' cut-out."""
    return [
        Shape(box(-0.5, -0.98, 0.5, 0.98, 0.14), Paint.DEEP),
        Shape(box(-0.46, -0.94, 0.46, 0.94, 0.12), Paint.BODY),
        Shape(box(-0.4, -0.88, 0.04, -0.42, 0.1), Paint.BLACK),
        *(
            Shape(ellipse(x, y, 0.09, 0.09), Paint.GLASS)
            for x, y in ((-0.28, -0.76), (-0.28, -0.54), (-0.07, -0.65))
        ),
    ]


def headphones(traits: dict[str, str]) -> list[Shape]:
    """Draw headphones; the wired ones trail a cable."""
    cable = stroke(
        smooth((-0.66, 0.6), (-0.3, 0.98), (0.1, 0.72), (0.5, 0.98), (0.1, 0.98))[:26], 0.06
    )
    cup = smooth((0.5, 0.0), (0.86, 0.02), (0.94, 0.36), (0.8, 0.72), (0.5, 0.7))
    pad = box(0.4, 0.06, 0.58, 0.66, 0.08)
    return [
        *([Shape(cable, Paint.BLACK)] if traits["wire"] == "wired" else []),
        Shape(stroke(ellipse(0, 0.1, 0.72, 0.96, 180, 360), 0.17), Paint.PLAIN),
        Shape(stroke(ellipse(0, 0.1, 0.63, 0.86, 205, 335), 0.06), Paint.SHADE),
        *pair(cup, Paint.BODY),
        *pair(pad, Paint.BLACK),
    ]


def watch(traits: dict[str, str]) -> list[Shape]:
    """Draw a wristwatch with a coloured strap and a round or square face."""
    if traits["face"] == "round":
        case, dial = ellipse(0, 0, 0.46, 0.46), ellipse(0, 0, 0.36, 0.36)
    else:
        case, dial = box(-0.44, -0.48, 0.44, 0.48, 0.1), box(-0.35, -0.39, 0.35, 0.39, 0.06)
    strap = polygon((-0.3, -0.98), (0.3, -0.98), (0.34, 0), (0.3, 0.98), (-0.3, 0.98), (-0.34, 0))
    return [
        Shape(strap, Paint.BODY),
        *(Shape(bar((-0.2, y), (0.2, y), 0.035), Paint.SHADE) for y in (-0.82, -0.68, 0.68, 0.82)),
        Shape(box(0.42, -0.07, 0.54, 0.07), Paint.STEEL),
        Shape(case, Paint.STEEL),
        Shape(dial, Paint.WHITE),
        Shape(bar((0, 0), (0.02, -0.28), 0.05), Paint.BLACK),
        Shape(bar((0, 0), (0.2, 0.1), 0.05), Paint.BLACK),
    ]


def speaker(traits: dict[str, str]) -> list[Shape]:
    """Draw a loudspeaker: an upright box with two cones, or a round one on feet."""
    cones = [(0.0, 0.34, 0.42), (0.0, -0.5, 0.24)]
    parts = [Shape(box(-0.58, -0.96, 0.58, 0.96, 0.08), Paint.BODY)]
    if traits["outline"] == "round":
        cones = [(0.0, 0.0, 0.5)]
        parts = [
            *(Shape(bar((x, 0.5), (x * 1.3, 0.9), 0.12), Paint.BLACK) for x in (-0.4, 0.4)),
            Shape(ellipse(0, 0, 0.8, 0.8), Paint.BODY),
        ]
    for x, y, r in cones:
        parts += [
            Shape(ellipse(x, y, r, r), Paint.BLACK),
            Shape(ellipse(x, y, r * 0.8, r * 0.8), Paint.GLASS),
            Shape(ellipse(x, y, r * 0.3, r * 0.3), Paint.STEEL),
        ]
    return parts


def camera(_: dict[str, str]) -> list[Shape]:
    """Draw a camera from the front: grip, flash and lens."""
    return [
        Shape(box(-0.3, -0.62, 0.3, -0.3, 0.06), Paint.STEEL),
        Shape(box(0.5, -0.54, 0.76, -0.4, 0.03), Paint.STEEL),
        Shape(box(-0.94, -0.44, 0.94, 0.6, 0.12), Paint.BODY),
        Shape(bar((-0.94, -0.3), (0.94, -0.3), 0.14), Paint.STEEL),
        Shape(ellipse(0, 0.1, 0.46, 0.46), Paint.BLACK),
        Shape(ellipse(0, 0.1, 0.34, 0.34), Paint.GLASS),
        Shape(ellipse(-0.12, -0.02, 0.1, 0.08), Paint.GLOSS),
        Shape(box(-0.8, -0.38, -0.52, -0.22, 0.03), Paint.WHITE),
    ]


def hair_dryer(_: dict[str, str]) -> list[Shape]:
    """Draw a hair dryer: barrel, nozzle and handle."""
    return [
        Shape(polygon((-0.24, 0.0), (0.16, 0.0), (0.06, 0.94), (-0.26, 0.94)), Paint.DEEP),
        Shape(
            smooth(
                (-0.6, -0.66),
                (0.1, -0.6),
                (0.6, -0.48),
                (0.62, 0.0),
                (0.1, 0.1),
                (-0.6, 0.16),
                (-0.84, -0.25),
            ),
            Paint.BODY,
        ),
        Shape(polygon((0.58, -0.46), (0.96, -0.56), (0.96, 0.06), (0.58, -0.02)), Paint.BLACK),
        Shape(ellipse(-0.56, -0.25, 0.2, 0.3), Paint.STEEL),
        Shape(bar((-0.08, 0.3), (-0.08, 0.5), 0.1), Paint.WHITE),
    ]
