"""Names of open_clip's tensors, and those of Tusou's towers for the same tensors."""

from collections.abc import Mapping
from typing import TypeVar

from tusou.encoders.forms.checkpoint_names import plain_names
from tusou.encoders.forms.layouts import Layouts

T = TypeVar("T")

_BERT = "text.transformer."  # before the names of a text tower of transformers
_PROJECTIONS = {
    "text.proj.weight": "text_projection",
    "text.proj.0.weight": "text_projection_hidden",
    "text.proj.2.weight": "text_projection",
}
_OWN = "text."  # before the names of OpenAI's CLIP, in models whose text tower can be another
_UNUSED = ("text.transformer.pooler.", "text.transformer.embeddings.position_ids")


def open_clip_names(
    tensors: Mapping[str, T], layouts: Layouts[T], *, has_bert: bool
) -> dict[str, T]:
    """Return the tensors by Tusou's names; `has_bert` if transformers has the text tower."""
    named: dict[str, T] = {}
    for name, tensor in plain_names(tensors, layouts).items():
        if has_bert and name in _PROJECTIONS:
            named[_PROJECTIONS[name]] = layouts.transpose(tensor)
        elif has_bert and name.startswith(_UNUSED):
            continue
        elif has_bert:
            bert = name.startswith(_BERT)
            named["bert." + name.removeprefix(_BERT) if bert else name] = tensor
        else:
            named[name.removeprefix(_OWN)] = tensor
    return named
