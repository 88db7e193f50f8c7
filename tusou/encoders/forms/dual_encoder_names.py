"""Names of the text tower of two towers put together, and those of Tusou's own for the same."""

from collections.abc import Mapping
from typing import TypeVar

from tusou.encoders.forms.layouts import Layouts

T = TypeVar("T")

_TEXT, _PROJECTION = "text_model.", "text_projection.weight"
_UNUSED = ("text_model.pooler.", "text_model.embeddings.position_ids")


def dual_text_names(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return the tensors of a BERT-shaped text tower and its projection by Tusou's names."""
    named: dict[str, T] = {}
    for name, tensor in tensors.items():
        if name == _PROJECTION:
            named["text_projection"] = layouts.transpose(tensor)
        elif name.startswith(_TEXT) and not name.startswith(_UNUSED):
            named[f"bert.{name.removeprefix(_TEXT)}"] = tensor
    return named
