"""Chinese-CLIP, as a checkpoint of cn_clip."""

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    PREFIXES,
    Shaped,
    Tower,
    TowerShape,
    read_image_shape,
    read_text_shape,
)
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.checkpoint_shapes import TensorShape, read_shapes
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_weights")  # imports torch
_TOKENIZER = LazyImport("tusou.encoders.tokenizer:ClipTokenizer")  # imports cn_clip


class ChineseClip:
    """The heart and the default: what every checkpoint file is taken for."""

    name = "chinese-clip"

    def matches(self, weights: Weights) -> bool:
        return not isinstance(weights.file, ModelFolder) and weights.open_clip is None

    def describe(self, _: Weights) -> EncoderRecord | None:
        return None

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        tensors = _read_shapes(weights)
        return read_text_shape(tensors) if tower == "text" else read_image_shape(tensors)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        tensors = _read_shapes(weights).items()
        return sum(prod(each.shape) for name, each in tensors if name.startswith(PREFIXES[tower]))

    def open_tokenizer(self, _: Weights) -> Tokenizer:
        return cast("Callable[[], Tokenizer]", _TOKENIZER.load())()

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        read = cast("Callable[[Weights], Mapping[str, Tensor]]", _READ_TENSORS.load())
        return read(weights)


def _read_shapes(weights: Weights) -> Mapping[str, Shaped]:
    file = weights.file
    assert not isinstance(file, ModelFolder)
    shapes = read_shapes(weights.path) if file is None else file.shapes
    if shapes is None:
        read = cast("Callable[[Weights], Mapping[str, Shaped]]", _READ_TENSORS.load())
        shapes = {name: TensorShape(tuple(t.shape)) for name, t in read(weights).items()}
        if file is not None:
            file.shapes = shapes  # torch need not read them again
    return shapes
