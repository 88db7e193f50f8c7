"""Names of CLIP's tensors in transformers, and those of OpenAI for the same tensors.

Image towers have the names of Chinese-CLIP's in either library, and the layers of CLIP's text tower
are named like those of an image tower.
"""

from collections.abc import Mapping
from typing import TypeVar

from tusou.encoders.forms.layouts import Layouts
from tusou.encoders.forms.transformers_names import to_cn_clip

T = TypeVar("T")

_TEXT, _IMAGE, _LAYERS, _OPENAI_IMAGE = "text_model.", "vision_model.", "encoder.", "visual."
# transformers -> OpenAI, without the prefix of the text tower.
_FIXED = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def openai_names(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return the tensors of transformers' CLIP by OpenAI's names; BadModel for one without any."""
    image, layers, named = {}, {}, {}
    for name, tensor in tensors.items():
        part = name.removeprefix(_TEXT)
        if part in _FIXED:
            named[_FIXED[part]] = tensor
        elif name.startswith(_TEXT + _LAYERS):
            layers[_IMAGE + part] = tensor
        else:
            image[name] = tensor
    named |= to_cn_clip(image, layouts)
    in_text = to_cn_clip(layers, layouts).items()
    return named | {name.removeprefix(_OPENAI_IMAGE): tensor for name, tensor in in_text}
