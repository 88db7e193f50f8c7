"""The functions that draw each category, by name; each maps traits to parts."""

from collections.abc import Callable

from tusou_lab.toy.geometry import Shape
from tusou_lab.toy.shapes import bags, clothing, electronics, furniture, kitchen, lamps, shoes

Traits = dict[str, str]

SHAPES: dict[str, Callable[[Traits], list[Shape]]] = {
    shape.__name__: shape
    for shapes in (
        clothing.SHAPES,
        shoes.SHAPES,
        bags.SHAPES,
        furniture.SHAPES,
        lamps.SHAPES,
        kitchen.SHAPES,
        electronics.SHAPES,
    )
    for shape in shapes
}
