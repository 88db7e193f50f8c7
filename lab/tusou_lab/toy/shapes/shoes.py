"""Shoes seen from the side, with the toe to the right."""

from tusou_lab.toy.geometry import Paint, Shape, bar, box, ellipse, polygon, smooth, stroke


def leather_shoe(traits: dict[str, str]) -> list[Shape]:
    """Draw a laced derby for men; for women a strapped pump on a block heel with a bow."""
    if traits["gender"] == "women":
        upper = smooth(
            (-0.8, -0.3),
            (-0.68, -0.02),
            (-0.2, 0.12),
            (0.25, 0.02),
            (0.75, 0.12),
            (0.9, 0.36),
            (0.3, 0.42),
            (-0.3, 0.34),
            (-0.84, 0.12),
        )
        return [
            Shape(polygon((-0.84, 0.1), (-0.46, 0.26), (-0.5, 0.66), (-0.8, 0.66)), Paint.DEEP),
            Shape(upper, Paint.BODY),
            Shape(smooth((-0.6, -0.06), (-0.2, 0.02), (0.2, 0.0), (-0.2, 0.14)), Paint.SHADE),
            Shape(stroke(polygon((-0.5, 0.04), (-0.25, -0.22), (0.02, 0.1)), 0.1), Paint.DEEP),
            Shape(
                polygon((0.3, -0.02), (0.5, -0.14), (0.5, 0.18), (0.7, 0.18), (0.7, -0.02)),
                Paint.GOLD,
            ),
            Shape(stroke(polygon((-0.4, 0.36), (0.3, 0.46), (0.92, 0.4)), 0.07), Paint.BLACK),
        ]
    upper = smooth(
        (-0.82, -0.42),
        (-0.5, -0.5),
        (-0.2, -0.36),
        (0.2, -0.1),
        (0.7, 0.02),
        (0.95, 0.3),
        (0.6, 0.42),
        (-0.4, 0.42),
        (-0.86, 0.36),
    )
    return [
        Shape(upper, Paint.BODY),
        Shape(ellipse(-0.52, -0.44, 0.3, 0.09), Paint.SHADE),
        Shape(stroke(polygon((0.34, -0.04), (0.42, 0.16), (0.36, 0.38)), 0.045), Paint.SHADE),
        *(
            Shape(bar((-0.2 + d, -0.3 + d * 0.6), (-0.32 + d, -0.1 + d * 0.6), 0.05), Paint.WHITE)
            for d in (0.0, 0.16, 0.32)
        ),
        Shape(stroke(polygon((-0.86, 0.4), (0.2, 0.44), (0.94, 0.38)), 0.1), Paint.BLACK),
        Shape(box(-0.86, 0.42, -0.42, 0.6), Paint.BLACK),
        Shape(smooth((0.55, 0.06), (0.8, 0.16), (0.7, 0.2)), Paint.GLOSS),
    ]


def sneaker(traits: dict[str, str]) -> list[Shape]:
    """Draw a trainer on a thick white sole; the high one covers the ankle."""
    high = traits["height"] == "high"
    top = -0.88 if high else -0.4
    neck = ((-0.86, top), (-0.34, top), (-0.14, -0.3 if high else -0.26))
    upper = polygon((-0.86, 0.3), *neck, (0.3, -0.06), (0.72, 0.02), (0.94, 0.2), (0.96, 0.36))
    laces = (
        ((-0.2, -0.5), (-0.14, -0.34), (-0.04, -0.2), (0.12, -0.1))
        if high
        else ((-0.1, -0.22), (0.04, -0.14), (0.18, -0.07))
    )
    return [
        Shape(upper, Paint.BODY),
        Shape(box(-0.88, top - 0.05, -0.32, top + 0.06, 0.04), Paint.DEEP),
        *(
            Shape(bar((x - 0.16, y + 0.02), (x + 0.08, y - 0.04), 0.06), Paint.WHITE)
            for x, y in laces
        ),
        Shape(smooth((0.52, 0.02), (0.8, 0.06), (0.97, 0.3), (0.6, 0.32)), Paint.WHITE),
        Shape(stroke(polygon((-0.6, 0.24), (-0.2, 0.14), (0.2, -0.02)), 0.1, 0.03), Paint.WHITE),
        Shape(
            smooth(
                (-0.92, 0.3),
                (0, 0.34),
                (0.9, 0.3),
                (1.0, 0.42),
                (0.9, 0.56),
                (0, 0.56),
                (-0.9, 0.56),
                (-0.96, 0.42),
            ),
            Paint.WHITE,
        ),
        Shape(stroke(polygon((-0.9, 0.46), (0.0, 0.48), (0.94, 0.44)), 0.04), Paint.SHADE),
    ]


def high_heel(traits: dict[str, str]) -> list[Shape]:
    """Draw a pointed pump on a stiletto or on a block heel."""
    thin = traits["heel"] == "thin"
    heel = (
        polygon((-0.86, -0.3), (-0.62, -0.12), (-0.74, 0.72), (-0.82, 0.72))
        if thin
        else polygon((-0.9, -0.3), (-0.46, -0.1), (-0.44, 0.72), (-0.86, 0.72))
    )
    upper = smooth(
        (-0.9, -0.68),
        (-0.76, -0.4),
        (-0.4, -0.06),
        (0.1, 0.24),
        (0.4, 0.3),
        (0.98, 0.66),
        (0.6, 0.7),
        (0.2, 0.64),
        (-0.3, 0.2),
        (-0.8, -0.18),
        (-0.94, -0.4),
    )
    return [
        Shape(heel, Paint.DEEP),
        Shape(upper, Paint.BODY),
        Shape(
            stroke(polygon((-0.66, -0.1), (-0.25, 0.28), (0.2, 0.68), (0.94, 0.72)), 0.06),
            Paint.BLACK,
        ),
        Shape(stroke(polygon((-0.8, -0.48), (-0.4, -0.1), (0.1, 0.2)), 0.05), Paint.SHADE),
    ]


def boot(traits: dict[str, str]) -> list[Shape]:
    """Draw a boot on a low heel: to the knee, or to the ankle with an elastic side."""
    tall = traits["length"] == "long"
    top = -0.96 if tall else -0.42
    shaft = polygon(
        (-0.62, top), (0.06, top), (0.04, 0.2), (0.4, 0.32), (0.72, 0.44), (0.84, 0.7), (-0.6, 0.7)
    )
    gusset = (
        []
        if tall
        else [Shape(polygon((-0.44, top + 0.04), (-0.16, top + 0.04), (-0.26, 0.2)), Paint.DEEP)]
    )
    return [
        Shape(shaft, Paint.BODY),
        *gusset,
        Shape(box(-0.66, top - 0.04, 0.1, top + 0.08, 0.03), Paint.DEEP),
        Shape(stroke(polygon((0.06, 0.12), (-0.14, 0.24), (-0.3, 0.2)), 0.04), Paint.SHADE),
        Shape(box(-0.64, 0.68, 0.86, 0.78), Paint.BLACK),
        Shape(box(-0.64, 0.74, -0.22, 0.96), Paint.BLACK),
    ]


def slipper(traits: dict[str, str]) -> list[Shape]:
    """Draw a flat slipper: one broad band, or two crossing thongs."""
    sole = smooth(
        (-0.95, 0.3),
        (-0.4, 0.26),
        (0.3, 0.3),
        (0.9, 0.24),
        (0.98, 0.4),
        (0.4, 0.54),
        (-0.4, 0.54),
        (-0.95, 0.5),
    )
    if traits["strap"] == "band":
        upper = [
            Shape(
                smooth(
                    (-0.14, 0.34),
                    (0.0, -0.12),
                    (0.4, -0.28),
                    (0.74, -0.06),
                    (0.84, 0.32),
                    (0.4, 0.4),
                ),
                Paint.BODY,
            )
        ]
    else:
        upper = [
            Shape(
                stroke(polygon((-0.34, 0.38), (-0.1, -0.1), (0.3, -0.24), (0.62, 0.34)), 0.13),
                Paint.BODY,
            ),
            Shape(stroke(polygon((-0.02, 0.4), (0.3, -0.24), (0.66, 0.3)), 0.12), Paint.BODY),
            Shape(ellipse(0.3, -0.24, 0.1, 0.1), Paint.GOLD),
        ]
    return [
        Shape(sole, Paint.PLAIN),
        Shape(stroke(polygon((-0.94, 0.48), (0.0, 0.52), (0.96, 0.44)), 0.08), Paint.SHADE),
        *upper,
    ]
