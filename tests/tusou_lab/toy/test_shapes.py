"""Shapes: every combination of traits can be drawn, inside its box."""

from itertools import product

import numpy as np
import pytest
from tusou_lab.toy.catalogue import CATEGORIES, Category
from tusou_lab.toy.geometry import Paint
from tusou_lab.toy.shapes import SHAPES

REACH = 1.3  # a trait may extend a little beyond the box


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.shape)
def test_every_combination_of_traits_is_drawn_differently(category: Category) -> None:
    seen = set()
    for values in product(*category.traits.values()):
        parts = SHAPES[category.shape](dict(zip(category.traits, values, strict=True)))
        assert all(np.abs(part.outline).max() < REACH for part in parts)
        assert any(part.paint is Paint.BODY for part in parts)
        seen.add(tuple((part.outline.tobytes(), part.paint) for part in parts))
    # A finish changes the paint of the legs, not their outline.
    finishes = len(category.traits.get("finish", ("one",)))
    assert len(seen) * finishes == np.prod([len(o) for o in category.traits.values()], dtype=int)
