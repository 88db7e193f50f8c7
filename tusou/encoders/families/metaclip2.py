"""MetaCLIP 2, CLIP trained on the texts of three hundred languages, as a transformers folder."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tusou.bundle.model_record import EncoderRecord
from tusou.encoders.architecture import Tower, TowerShape
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.clip import Clip
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor


class MetaClip2:
    """CLIP's two towers, with a vocabulary that knows every language of its training."""

    name = "metaclip2"

    def __init__(self) -> None:
        self._clip = Clip()

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type == "metaclip_2"

    def describe(self, weights: Weights) -> EncoderRecord:
        record = self._clip.describe(weights)
        named = {"family": self.name, "architecture": "MetaClip2Model"}
        return record.model_copy(update=named)

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        return self._clip.read_shape(weights, tower)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return self._clip.count_parameters(weights, tower)

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return self._clip.open_tokenizer(weights)

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        return self._clip.read_tensors(weights)
