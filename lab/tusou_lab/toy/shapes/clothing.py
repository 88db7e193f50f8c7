"""Clothes laid flat, seen from the front."""

from tusou_lab.toy.geometry import (
    Paint,
    Points,
    Shape,
    bar,
    box,
    ellipse,
    pair,
    polygon,
    smooth,
    stroke,
    symmetric,
)


def _sleeves(kind: str, shoulder: float, top: float) -> list[Shape]:
    """Draw a pair of short or long sleeves; other kinds have none."""
    x, y = shoulder, top
    if kind == "short":
        cut = polygon((x - 0.16, y), (x, y + 0.03), (x + 0.3, y + 0.42), (x + 0.06, y + 0.58))
        return pair(cut, Paint.BODY)
    if kind == "long":
        cut = polygon(
            (x - 0.16, y),
            (x, y + 0.03),
            (x + 0.36, y + 1.28),
            (x + 0.14, y + 1.36),
            (x - 0.08, y + 0.5),
        )
        cuff = polygon(
            (x + 0.34, y + 1.2), (x + 0.36, y + 1.28), (x + 0.14, y + 1.36), (x + 0.12, y + 1.28)
        )
        return pair(cut, Paint.BODY) + pair(cuff, Paint.DEEP)
    return []


def _folds(y: float, reach: float) -> list[Shape]:
    return pair(
        stroke(polygon((0.3, y), (0.24, y + reach / 2), (0.27, y + reach)), 0.05, 0.01), Paint.SHADE
    )


def _top(gender: str, length: float) -> Points:
    """Return the outline of a top: boxy for men, waisted for women."""
    if gender == "women":
        return symmetric(
            (0.16, -0.8),
            (0.44, -0.72),
            (0.42, -0.3),
            (0.3, 0.1),
            (0.44, length - 0.1),
            (0.44, length - 0.12),
        )
    return symmetric((0.2, -0.8), (0.54, -0.7), (0.54, -0.2), (0.54, length), (0.3, length + 0.02))


def tshirt(traits: dict[str, str]) -> list[Shape]:
    """Draw a T-shirt: crew neck for men, deep V and waist for women."""
    women = traits["gender"] == "women"
    shoulder = 0.44 if women else 0.54
    neck = (
        polygon((-0.18, -0.82), (0.18, -0.82), (0.0, -0.36))
        if women
        else ellipse(0, -0.8, 0.2, 0.14)
    )
    return [
        *_sleeves(traits["sleeve"], shoulder, -0.74),
        Shape(_top(traits["gender"], 0.8), Paint.BODY),
        Shape(neck, Paint.DEEP),
        *_folds(0.1, 0.5),
    ]


def shirt(traits: dict[str, str]) -> list[Shape]:
    """Draw a shirt: white-edged collar, placket and buttons."""
    shoulder = 0.44 if traits["gender"] == "women" else 0.54
    collar = polygon((0.0, -0.62), (0.06, -0.9), (0.26, -0.84), (0.24, -0.5))
    return [
        *_sleeves(traits["sleeve"], shoulder, -0.74),
        Shape(_top(traits["gender"], 0.84), Paint.BODY),
        Shape(bar((0, -0.62), (0, 0.8), 0.16), Paint.DEEP),
        *(Shape(ellipse(0, y, 0.045, 0.045), Paint.WHITE) for y in (-0.4, -0.1, 0.2, 0.5)),
        *pair(collar, Paint.PLAIN),
        *pair(stroke(polygon((0.02, -0.6), (0.24, -0.5), (0.26, -0.84)), 0.035), Paint.SHADE),
    ]


def dress(traits: dict[str, str]) -> list[Shape]:
    """Draw a dress with a flared skirt; a strap dress hangs from two thin straps."""
    straps = traits["sleeve"] == "strap"
    top = -0.56 if straps else -0.8
    outline = symmetric(
        (0.12, top),
        (0.34, top + 0.04),
        (0.32, -0.4),
        (0.22, -0.08),
        (0.4, 0.4),
        (0.62, 0.92),
        (0.3, 0.97),
    )
    upper = (
        pair(bar((0.24, -0.96), (0.24, -0.5), 0.055), Paint.PLAIN)
        if straps
        else _sleeves(traits["sleeve"], 0.34, -0.78)
    )
    neck = [] if straps else [Shape(ellipse(0, -0.8, 0.15, 0.15), Paint.DEEP)]
    return [
        *upper,
        Shape(outline, Paint.BODY),
        *neck,
        Shape(box(-0.24, -0.13, 0.24, -0.03), Paint.DEEP),
        *_folds(0.2, 0.68),
    ]


def skirt(traits: dict[str, str]) -> list[Shape]:
    """Draw a skirt on a waistband: long and full, or short and flared."""
    hem, top, flare = (0.95, -0.85, 0.66) if traits["length"] == "long" else (0.3, -0.5, 0.78)
    return [
        Shape(
            symmetric((0.34, top), (0.5, top + 0.4), (flare, hem - 0.04), (0.3, hem + 0.03)),
            Paint.BODY,
        ),
        Shape(box(-0.36, top - 0.08, 0.36, top + 0.08, 0.03), Paint.DEEP),
        *_folds(top + 0.2, hem - top - 0.25),
        Shape(bar((0, top + 0.15), (0, hem - 0.05), 0.03), Paint.SHADE),
    ]


def _legs(hem: float, width: float) -> Points:
    return symmetric((0.4, -0.9), (0.46, -0.5), (0.36 + width, hem), (0.06, hem), (0.0, -0.28))


def trousers(traits: dict[str, str]) -> list[Shape]:
    """Draw long trousers: wide, or narrow to the ankle."""
    width = 0.28 if traits["cut"] == "wide" else -0.06
    return [
        Shape(_legs(0.95, width), Paint.BODY),
        Shape(box(-0.41, -0.98, 0.41, -0.82), Paint.DEEP),
        Shape(bar((0, -0.82), (0, -0.3), 0.03), Paint.SHADE),
        *pair(bar((0.22, -0.3), (0.22 + width / 2, 0.85), 0.03), Paint.SHADE),
    ]


def shorts(_: dict[str, str]) -> list[Shape]:
    """Draw shorts with a drawstring."""
    outline = symmetric((0.5, -0.5), (0.56, -0.1), (0.74, 0.52), (0.1, 0.6), (0.0, 0.06))
    return [
        Shape(outline, Paint.BODY),
        Shape(box(-0.52, -0.62, 0.52, -0.44, 0.03), Paint.DEEP),
        *pair(stroke(polygon((0.03, -0.46), (0.1, -0.3), (0.06, -0.14)), 0.045), Paint.WHITE),
        Shape(bar((0, -0.44), (0, 0.06), 0.03), Paint.SHADE),
    ]


def hoodie(traits: dict[str, str]) -> list[Shape]:
    """Draw a sweatshirt with a pouch; hooded, or with a ribbed round neck."""
    hooded = traits["neck"] == "hood"
    hood = [
        Shape(
            smooth(
                (0, -1.02), (0.38, -0.84), (0.34, -0.5), (0, -0.42), (-0.34, -0.5), (-0.38, -0.84)
            ),
            Paint.PLAIN,
        ),
        Shape(
            smooth(
                (0, -0.9), (0.2, -0.76), (0.12, -0.52), (0, -0.46), (-0.12, -0.52), (-0.2, -0.76)
            ),
            Paint.DEEP,
        ),
        *pair(bar((0.1, -0.5), (0.12, -0.16), 0.045), Paint.WHITE),
    ]
    crew = [
        Shape(ellipse(0, -0.74, 0.26, 0.17), Paint.DEEP),
        Shape(ellipse(0, -0.79, 0.19, 0.11), Paint.SHADE),
    ]
    pouch = symmetric((0.22, 0.2), (0.4, 0.5), (0.4, 0.62))
    return [
        *_sleeves("long", 0.6, -0.7),
        Shape(symmetric((0.2, -0.74), (0.6, -0.66), (0.6, 0.7), (0.5, 0.72)), Paint.BODY),
        Shape(box(-0.58, 0.66, 0.58, 0.84, 0.05), Paint.DEEP),
        Shape(pouch, Paint.SHADE),
        *(hood if hooded else crew),
    ]


def coat(traits: dict[str, str]) -> list[Shape]:
    """Draw a buttoned coat with lapels: to the knee, or to the hip with a belt."""
    hem = 0.96 if traits["length"] == "long" else 0.42
    lapel = polygon((0.0, -0.2), (0.08, -0.88), (0.26, -0.82), (0.3, -0.52))
    body = symmetric(
        (0.16, -0.86), (0.5, -0.74), (0.48, -0.2), (0.44, 0.0), (0.58, hem), (0.3, hem + 0.02)
    )
    return [
        *_sleeves("long", 0.5, -0.76),
        Shape(body, Paint.BODY),
        Shape(polygon((-0.08, -0.88), (0.08, -0.88), (0.0, -0.2)), Paint.WHITE),
        *pair(lapel, Paint.DEEP),
        Shape(bar((0, -0.2), (0, hem), 0.035), Paint.SHADE),
        *(
            Shape(ellipse(x, y, 0.05, 0.05), Paint.GOLD)
            for x in (-0.12, 0.12)
            for y in (-0.08, 0.18)
        ),
        *pair(bar((0.22, 0.34), (0.4, 0.3), 0.06), Paint.DEEP),
    ]
