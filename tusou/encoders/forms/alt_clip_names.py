"""Names of AltCLIP's tensors in transformers, and those of Tusou's towers for the same tensors."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

from tusou.encoders.forms.layouts import Layouts, TensorShape
from tusou.encoders.forms.transformers_names import to_cn_clip

T = TypeVar("T")
# Weight and bias of a linear layer, and the weight of the next: those of both in one, (in, out).
Compose: TypeAlias = Callable[[T, T, T], tuple[T, T]]

_RENAMED = {"text_model.roberta.": "bert.", "text_model.pre_LN.": "ln_final."}
_FIRST, _SECOND = "text_model.transformation", "text_projection.weight"
# As version 5 of transformers writes the layers of an image tower, and as all read them.
_LAYER, _LAYERS = "vision_model.encoder.layer.", "vision_model.encoder.layers."
_UNUSED = ("text_model.roberta.pooler.",)


def alt_clip_names(
    tensors: Mapping[str, T], layouts: Layouts[T], compose: Compose[T]
) -> dict[str, T]:
    """Return the tensors by Tusou's names; KeyError without the layers behind the text tower.

    There are two of them, with nothing in between: one does the same.
    """
    image, named = {}, {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in _RENAMED if name.startswith(prefix)), None)
        if name.startswith(_UNUSED) or name.endswith(("position_ids", "token_type_ids")):
            continue
        if prefix is not None:
            named[_RENAMED[prefix] + name.removeprefix(prefix)] = tensor
        elif not name.startswith((_FIRST, _SECOND)):
            image[name.replace(_LAYER, _LAYERS)] = tensor
    parts = (tensors[f"{_FIRST}.weight"], tensors[f"{_FIRST}.bias"], tensors[_SECOND])
    named["text_projection"], named["text_projection_bias"] = compose(*parts)
    return named | to_cn_clip(image, layouts)


def compose_shapes(
    weight: TensorShape, _: TensorShape, following: TensorShape
) -> tuple[TensorShape, TensorShape]:
    """Return the shapes of the weight and bias of two linear layers in one."""
    dim = following.shape[0]
    return TensorShape((weight.shape[-1], dim)), TensorShape((dim,))
