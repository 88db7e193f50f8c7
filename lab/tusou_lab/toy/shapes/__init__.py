"""The drawn shape of every category: a function from traits to parts, found by name."""

from collections.abc import Callable

from tusou_lab.toy.geometry import Part
from tusou_lab.toy.shapes import bags, clothing, electronics, furniture, kitchen, lamps, shoes

Traits = dict[str, str]

SHAPES: dict[str, Callable[[Traits], list[Part]]] = {
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
