"""The functions that draw each category, in the module of its family; each maps traits to parts."""

from collections.abc import Callable
from importlib import import_module

from tusou_lab.toy.catalogue import CATEGORIES
from tusou_lab.toy.geometry import Shape

SHAPES: dict[str, Callable[[dict[str, str]], list[Shape]]] = {
    category.shape: getattr(import_module(f"{__name__}.{category.family}"), category.shape)
    for category in CATEGORIES
}
