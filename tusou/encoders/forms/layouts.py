"""Changes of a tensor's layout, for tensors and for shapes whose numbers were not read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tusou.core.errors import BadModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TensorShape:
    """The shape of a tensor whose numbers were not read."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layouts(Generic[T]):
    """The operations that lead from one form to another; queries, keys and values in that order."""

    transpose: Callable[[T], T]  # of a matrix
    join: Callable[[Sequence[T]], T]  # along the rows
    split: Callable[[T], Sequence[T]]  # into three of the same height


def _transpose(tensor: TensorShape) -> TensorShape:
    return TensorShape(tensor.shape[::-1] if len(tensor.shape) == 2 else tensor.shape)


def _join(parts: Sequence[TensorShape]) -> TensorShape:
    first = parts[0].shape
    if any(part.shape != first or not first for part in parts):
        raise BadModel("the queries, keys and values of a layer have different shapes")
    return TensorShape((len(parts) * first[0], *first[1:]))


def _split(tensor: TensorShape) -> Sequence[TensorShape]:
    rows, *rest = tensor.shape or (0,)
    return [TensorShape((rows // 3, *rest))] * 3


SHAPES = Layouts(_transpose, _join, _split)
